// SPDX-License-Identifier: BSD-2-Clause
//
// A file on a FUSE mount of the test's own that is a RecordingDevice: put an image there, let a
// program work on it, and every write, punch and fsync that the program makes stands in the
// recording, in the order in which it arrived. Nothing is cached in between (direct I/O), so a
// crash state of the recording is what a loss of power could have left of the program's image.
//
// A thread of the test serves the mount, one request after the other. The test itself must not use
// the file while it could be what the thread waits for.
//
// Thread rules: as an int; the device may be asked by any thread at any time.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "tests/support/recording_device.h"

struct fuse_session;

namespace rvmfs::test {

class RecordingMount {
 public:
  RecordingMount();
  ~RecordingMount();
  RecordingMount(const RecordingMount&) = delete;
  RecordingMount& operator=(const RecordingMount&) = delete;

  // Mounts at the folder and serves. Empty, or what went wrong.
  std::string start(const std::string& folder);
  void stop();
  // The file, empty in the beginning.
  std::string file() const { return folder_ + "/image"; }
  RecordingDevice& device() { return *device_; }

 private:
  const std::unique_ptr<RecordingDevice> device_;
  std::string folder_;
  fuse_session* session_ = nullptr;
  std::thread server_;
};

}  // namespace rvmfs::test
