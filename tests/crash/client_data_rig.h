// SPDX-License-Identifier: BSD-2-Clause
//
// A client that writes data to the log's device by itself (Rvm::note_write), as a filesystem does
// with file contents: through the log where they are few, by a flush where they are many, in any
// order, over each other, with truncations in between; on a recorded device that may also fail.
//
// Every sector of the data area says which write it comes from. A region says for some blocks which
// write they must have at least. In every crash state:
//   - a sector is from one write, whole; not older than the last acknowledged flush(true), nor than
//     the write that a recovered transaction refers to
//   - what was acknowledged of the region is there
//   - bytes that became a region's are the region's
//
// Thread rules: as an int.
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "rvm/rvm.h"
#include "tests/crash/campaign.h"
#include "tests/support/fault_device.h"

namespace rvmfs::test {

inline constexpr uint64_t kClientBlocks = 64;  // of the data area
inline constexpr uint64_t kClientSectors = kClientBlocks * 8;

struct ClientWrite {
  size_t begun_at = 0;           // events
  uint64_t first = 0, last = 0;  // sectors
};

// For each block the write that the region names; the last one: blocks have become a region.
using ClientReferences = std::array<size_t, kClientBlocks + 1>;

struct ClientAccount {
  std::vector<ClientWrite> writes{1};                           // by number; 0: the canary
  std::vector<std::pair<size_t, std::vector<size_t>>> durable;  // (events, write of each sector)
  std::vector<std::pair<size_t, ClientReferences>> committed;   // (events, references)
  size_t refused = 0;                                           // steps that failed
  size_t refused_at = 0;                                        // events after the first of them
  rvm::Statistics statistics{};
  EnsembleHistory history;
};

class ClientRig {
 public:
  explicit ClientRig(uint64_t seed);

  // The calls of librvm that the rig's rules make fail; those of the client itself do not. With
  // rules, steps may fail; what they promised until then counts.
  FaultDevice& fault() { return *fault_; }
  // Opens, and makes so many random steps. The first thing that went wrong.
  std::string open();
  std::string run(int steps);
  // Logged data are overwritten, with more than goes through the log, and only the log is forced.
  std::string overwrite_without_promise();
  size_t event_count() const { return ensemble_.event_count(); }
  const ClientAccount& account() const { return account_; }

 private:
  enum class Refer : uint8_t { no, mostly };
  std::string step(bool reuse);
  std::string write(uint64_t sectors_max, Refer refers = Refer::mostly);
  std::string put(uint64_t first, uint64_t count);
  std::string refer(rvm::Transaction& tx, uint64_t slot, size_t number);
  std::string end(rvm::Transaction tx, rvm::Commit mode);
  std::string flush();
  std::string log_data_alone_and_truncate();
  std::string truncate();
  std::string reuse_blocks();
  void note_committed();

  std::mt19937_64 random_;
  Ensemble ensemble_;
  std::shared_ptr<FaultDevice> fault_;
  std::unique_ptr<rvm::Rvm> rvm_;
  rvm::Region* refs_ = nullptr;
  std::vector<size_t> latest_ = std::vector<size_t>(kClientSectors, 0);  // write of each sector
  bool reused_ = false;
  ClientAccount account_;
};

// Opens librvm on the image after a crash at `point` and judges it.
CheckResult check_client_state(const ClientAccount& account, const SparseImage& image, size_t point,
                               bool has_garbage);

}  // namespace rvmfs::test
