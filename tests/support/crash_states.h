// SPDX-License-Identifier: BSD-2-Clause
//
// The crash states of a recorded history (recording_device.h): images that a power loss at a given
// moment could have left, under the assumptions about the medium in rvm/device.h.
//
// A crash point p means: events 0 ... p-1 had been issued. What came before the last flush among
// them is durable, and so is a write that settled (Device::write_durable). Each other change
// ("pending") may have been lost or kept, and a pending write may have been torn: each of its
// 512-byte sectors is old, new or garbage. What was pending when a flush failed stays pending for
// ever. A device that reorders
// writes needs no further states: of two kept writes to one sector the later one counts, and losing
// the later one leaves the earlier.
//
//   CrashStates states(device->history());
//   for (size_t p = 0; p <= states.event_count(); ++p) {
//     states.seek(p);
//     for (const CrashChoice& choice : states.interesting(64, seed)) {
//       auto disk = std::make_shared<MemoryDevice>(states.build(choice));
//       ... recover from disk; on failure print states.describe(choice) ...
//     }
//   }
//
// seek() forward costs what the events in between cost; building a state costs a copy of the shared
// page map and of the pages that the pending writes touch: some microseconds for a small batch.
//
// Thread rules: none; use one CrashStates per thread (copies share their pages).
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/recording_device.h"

namespace rvmfs::test {

enum class SectorFate : uint8_t { lost, kept, garbage };

// What became of one pending change. `sectors` is empty unless the write was torn; then it has one
// fate per 512-byte sector that the write touches (the first and last may be touched in part: lost
// and kept apply to the written part, garbage fills the whole sector).
struct ChangeFate {
  bool kept = false;
  std::vector<SectorFate> sectors;
};

struct CrashChoice {
  std::vector<ChangeFate> changes;  // one per pending change, in order
  uint64_t garbage_seed = 0;
};

class CrashStates {
 public:
  explicit CrashStates(History history);

  size_t event_count() const { return history_.events.size(); }
  const std::vector<Event>& events() const { return history_.events; }

  // Moves to a crash point, 0 ... event_count(). Forward is cheap, backward starts from the front.
  void seek(size_t point);
  size_t point() const { return point_; }

  // The changes whose fate is open at this point, those of failed flushes too.
  size_t pending_count() const { return pending_.size(); }
  const Event& pending(size_t index) const { return history_.events[pending_[index]]; }

  // What is there for sure: everything before the last flush, nothing of the pending changes, nor
  // of anything behind one that a failed flush left.
  const SparseImage& durable() const { return durable_; }

  SparseImage build(const CrashChoice& choice) const;

  // --- Choices -----------------------------------------------------------------------------
  CrashChoice all_lost() const;
  CrashChoice all_kept() const;
  CrashChoice first_kept(size_t count) const;  // the first `count` pending changes, in order
  CrashChoice only_lost(size_t index) const;   // all kept but one
  CrashChoice only_kept(size_t index) const;   // all lost but one
  // The write `index` with one sector lost or garbage; every other pending change is kept or lost.
  CrashChoice torn(size_t index, size_t sector, SectorFate fate, bool others_kept) const;
  // Garbage in the first sector of every write.
  CrashChoice all_torn() const;
  // Each change lost, kept or torn at random; each sector of a torn write likewise.
  CrashChoice random(std::mt19937_64& random) const;

  // At most `limit` different choices, the telling ones first: nothing, everything, each prefix,
  // each single loss and survivor, tears at the first, last and a middle sector, then random ones.
  // Every subset of whole changes is among them if there are at most `limit` of those. The same
  // seed gives the same choices.
  std::vector<CrashChoice> interesting(size_t limit, uint64_t seed) const;

  // For short histories whose every point is walked. Everything of this moment: what was issued is
  // there; the newest write torn in every way that differs (each sector old or garbage, cut after
  // and before each sector). Where a flush follows, and more cannot become pending, also of the
  // pending changes every subset if there are at most 12, else each loss of one and of two, each
  // survivor, and random subsets. More than `limit`: a random choice of them.
  std::vector<CrashChoice> thorough(bool at_flush, size_t limit, uint64_t seed) const;

  // Sectors that the pending write touches; 0 for other changes.
  size_t sector_count(size_t index) const;

  // One line from which a failing state can be understood and built again.
  std::string describe(const CrashChoice& choice) const;

 private:
  CrashChoice whole(uint64_t kept_mask) const;
  std::vector<CrashChoice> tears_of_newest() const;
  std::vector<CrashChoice> subsets(std::mt19937_64& random, size_t limit) const;
  void note_flush();
  void note_failed_flush();
  void build_torn(const Event& event, const ChangeFate& fate, uint64_t garbage_seed,
                  SparseImage& image) const;

  History history_;
  SparseImage durable_;
  size_t point_ = 0;
  struct Change {
    size_t event;
    bool settled = false;
    bool forsaken = false;  // by a failed flush: no later one settles it
  };
  // In order: since the last flush, or since the first change that is open for ever.
  std::vector<Change> changes_;
  std::vector<size_t> pending_;  // event numbers of those that are not settled
};

}  // namespace rvmfs::test
