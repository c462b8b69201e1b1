// SPDX-License-Identifier: BSD-2-Clause
//
// Programs on a real mount whose image is recorded (recording_mount.h): each works in a folder of
// its own, and what fsync acknowledges is noted together with the number of events that the
// recording held at that moment. Later each crash state of the recording is compared with it.
//
// A folder holds, after a crash anywhere:
//   new0, new1, ...  whole files, without a gap, at least as many as were fsynced
//   current          replaced again and again by rename: one version as a whole, at least the last
//                    one whose rename was fsynced
//   log              appended to: the right bytes, at least as many as were fsynced
//
// Thread rules: one thread a worker; check() when it has ended.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/volume_answers.h"

namespace rvmfs::test {

class PowerWorker {
 public:
  // `folder`: its place on the mount. `events`: the recording's count of events.
  PowerWorker(std::string mount_point, std::string name, uint64_t seed,
              std::function<size_t()> events);

  // Works until the mount dies or `stop` answers true. False after an error that was neither.
  bool run(const std::function<bool()>& stop);
  const std::string& problem() const { return problem_; }

  // What a crash after `point` events left must be; empty if it is.
  std::string check(VolumeAnswers& volume, size_t point) const;
  uint64_t acknowledged() const {
    return files_.promises.size() + versions_.promises.size() + log_.promises.size();
  }

 private:
  // (events, how many) - at least so many files, versions, bytes from these events on.
  struct Account {
    std::vector<std::pair<size_t, uint64_t>> promises;
    uint64_t begun = 0;
    void promise(size_t events, uint64_t count) { promises.emplace_back(events, count); }
    uint64_t promised_at(size_t point) const;
  };

  bool prepare();
  bool add_file();
  bool replace();
  bool append();
  bool sync_folder() const;
  bool failed(const char* what);
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string file_text(uint64_t number) const;
  std::string version_text(uint64_t number) const;
  std::string log_text(uint64_t bytes) const;
  std::string check_files(VolumeAnswers& volume, Inode folder, uint64_t promised) const;
  std::string check_current(VolumeAnswers& volume, Inode folder, uint64_t promised) const;
  std::string check_log(VolumeAnswers& volume, Inode folder, uint64_t promised) const;

  const std::string name_, folder_;
  const uint64_t seed_;
  const std::function<size_t()> events_;
  std::vector<std::pair<size_t, uint64_t>> folder_there_;
  Account files_, versions_, log_;
  std::string problem_;
};

}  // namespace rvmfs::test
