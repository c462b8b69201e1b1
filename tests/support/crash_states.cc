// SPDX-License-Identifier: BSD-2-Clause
//
// See crash_states.h. `durable_` is the image at the last flush before the point; `pending_` lists
// the changes since then whose fate is open. A flush that becomes part of the past turns the
// changes into durable ones, in their order, up to the first that an earlier, failed flush left
// open for ever; those behind it are settled. A write that settles is kept in every state, but an
// earlier change whose fate is open must not be applied after it: so it stays in the list of
// changes.
#include "tests/support/crash_states.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <utility>

namespace rvmfs::test {
namespace {

constexpr uint64_t kSector = rvm::kSectorBytes;

void write_garbage(uint64_t sector, uint64_t seed, SparseImage& image) {
  std::array<std::byte, kSector> bytes;
  uint64_t state = (sector + 1) * 0x9e3779b97f4a7c15ULL ^ seed;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::byte>(state >> 56);
  }
  image.write(sector * kSector, bytes);
}

}  // namespace

CrashStates::CrashStates(History history)
    : history_(std::move(history)), durable_(history_.initial) {}

void CrashStates::seek(size_t point) {
  point = std::min(point, history_.events.size());
  if (point < point_) {
    durable_ = history_.initial;
    changes_.clear();
    pending_.clear();
    point_ = 0;
  }
  for (; point_ < point; ++point_) {
    const Event& event = history_.events[point_];
    if (event.kind == Event::Kind::settle) {
      for (Change& change : changes_) change.settled |= change.event == event.offset;
      std::erase(pending_, event.offset);
      continue;
    }
    if (event.kind == Event::Kind::flush) {
      note_flush();
    } else if (event.kind == Event::Kind::failed_flush) {
      note_failed_flush();
    } else {
      changes_.push_back({.event = point_});
      pending_.push_back(point_);
    }
  }
}

void CrashStates::note_flush() {
  const auto open = std::find_if(changes_.begin(), changes_.end(), [](const Change& change) {
    return change.forsaken && !change.settled;
  });
  std::for_each(changes_.begin(), open,
                [&](const Change& change) { apply(history_.events[change.event], durable_); });
  changes_.erase(changes_.begin(), open);
  pending_.clear();
  for (Change& change : changes_) {
    change.settled |= !change.forsaken;
    if (!change.settled) pending_.push_back(change.event);
  }
}

void CrashStates::note_failed_flush() {
  for (Change& change : changes_) change.forsaken = true;
}

size_t CrashStates::sector_count(size_t index) const {
  const Event& event = pending(index);
  if (event.kind != Event::Kind::write) return 0;
  const uint64_t first = event.offset / kSector;
  const uint64_t last = (event.offset + event.length - 1) / kSector;
  return static_cast<size_t>(last - first + 1);
}

void CrashStates::build_torn(const Event& event, const ChangeFate& fate, uint64_t garbage_seed,
                             SparseImage& image) const {
  const uint64_t end = event.offset + event.length;
  for (size_t i = 0; i < fate.sectors.size(); ++i) {
    const uint64_t sector = event.offset / kSector + i;
    if (fate.sectors[i] == SectorFate::lost) continue;
    const uint64_t from = std::max(event.offset, sector * kSector);
    const uint64_t to = std::min(end, (sector + 1) * kSector);
    if (fate.sectors[i] == SectorFate::kept) {
      const std::span<const std::byte> bytes(*event.bytes);
      image.write(from, bytes.subspan(from - event.offset, to - from));
      continue;
    }
    // Garbage fills the sector, but must not lengthen a file by more than the write did.
    const uint64_t size_after = std::max(image.size(), to);
    write_garbage(sector, garbage_seed, image);
    if (image.size() > size_after) image.resize(size_after);
  }
}

SparseImage CrashStates::build(const CrashChoice& choice) const {
  SparseImage image = durable_;
  size_t open = 0;  // number of the pending change
  for (const Change& change : changes_) {
    const Event& event = history_.events[change.event];
    if (change.settled) {
      apply(event, image);
      continue;
    }
    if (open == choice.changes.size()) break;
    const ChangeFate& fate = choice.changes[open++];
    if (!fate.sectors.empty()) {
      build_torn(event, fate, choice.garbage_seed, image);
    } else if (fate.kept) {
      apply(event, image);
    }
  }
  return image;
}

CrashChoice CrashStates::all_lost() const {
  CrashChoice choice;
  choice.changes.resize(pending_.size());
  return choice;
}

CrashChoice CrashStates::all_kept() const { return first_kept(pending_.size()); }

CrashChoice CrashStates::first_kept(size_t count) const {
  CrashChoice choice = all_lost();
  for (size_t i = 0; i < std::min(count, choice.changes.size()); ++i) choice.changes[i].kept = true;
  return choice;
}

CrashChoice CrashStates::only_lost(size_t index) const {
  CrashChoice choice = all_kept();
  choice.changes[index].kept = false;
  return choice;
}

CrashChoice CrashStates::only_kept(size_t index) const {
  CrashChoice choice = all_lost();
  choice.changes[index].kept = true;
  return choice;
}

CrashChoice CrashStates::torn(size_t index, size_t sector, SectorFate fate,
                              bool others_kept) const {
  CrashChoice choice = others_kept ? all_kept() : all_lost();
  ChangeFate& change = choice.changes[index];
  change.kept = true;
  change.sectors.assign(sector_count(index), SectorFate::kept);
  change.sectors[sector] = fate;
  return choice;
}

CrashChoice CrashStates::all_torn() const {
  CrashChoice choice = all_kept();
  for (size_t i = 0; i < choice.changes.size(); ++i) {
    choice.changes[i].sectors.assign(sector_count(i), SectorFate::kept);
    if (!choice.changes[i].sectors.empty()) choice.changes[i].sectors[0] = SectorFate::garbage;
  }
  return choice;
}

CrashChoice CrashStates::random(std::mt19937_64& random) const {
  CrashChoice choice = all_lost();
  choice.garbage_seed = random();
  for (size_t i = 0; i < choice.changes.size(); ++i) {
    ChangeFate& change = choice.changes[i];
    const uint64_t dice = random() % 4;
    change.kept = dice != 0;
    if (dice != 3) continue;
    change.sectors.resize(sector_count(i));
    for (SectorFate& fate : change.sectors) {
      const uint64_t sector_dice = random() % 8;
      fate = sector_dice == 0   ? SectorFate::garbage
             : sector_dice <= 3 ? SectorFate::lost
                                : SectorFate::kept;
    }
  }
  return choice;
}

CrashChoice CrashStates::whole(uint64_t kept_mask) const {
  CrashChoice choice = all_lost();
  for (size_t i = 0; i < choice.changes.size(); ++i) {
    choice.changes[i].kept = (kept_mask >> i & 1) != 0;
  }
  return choice;
}

std::vector<CrashChoice> CrashStates::interesting(size_t limit, uint64_t seed) const {
  std::vector<CrashChoice> choices;
  std::set<std::string> seen;
  const auto add = [&](CrashChoice choice) {
    if (choices.size() < limit && seen.insert(describe(choice)).second) {
      choices.push_back(std::move(choice));
    }
    return choices.size() < limit;
  };
  const size_t count = pending_.size();
  if (!add(all_lost()) || count == 0) return choices;
  if (!add(all_kept())) return choices;
  if (count >= 2) add(all_torn());
  if (count < 64 && (uint64_t{1} << count) <= limit) {
    for (uint64_t mask = 0; mask < uint64_t{1} << count; ++mask) add(whole(mask));
  }
  // Interleaved, so that a small limit still sees every kind; the newest changes first, as a crash
  // most often meets the last write. A quarter of the room stays for random choices, which reach
  // the older changes of a long batch.
  for (size_t back = 0; back < count && choices.size() < limit - limit / 4; ++back) {
    const size_t i = count - 1 - back;
    add(first_kept(i));
    const size_t sectors = sector_count(i);
    if (sectors > 0) {
      add(torn(i, sectors - 1, SectorFate::garbage, true));
      add(torn(i, 0, SectorFate::lost, true));
      add(torn(i, sectors - 1, SectorFate::lost, true));
      add(torn(i, 0, SectorFate::garbage, false));
      add(torn(i, sectors / 2, SectorFate::lost, true));
    }
    add(only_lost(i));
    if (!add(only_kept(i))) return choices;
  }
  std::mt19937_64 source(seed ^ point_ * 0x9e3779b97f4a7c15ULL);
  // A small batch may have fewer different states than the limit: stop when new ones get rare.
  for (size_t tries = 0; tries < 4 * limit; ++tries) {
    if (!add(random(source))) break;
  }
  return choices;
}

std::vector<CrashChoice> CrashStates::tears_of_newest() const {
  std::vector<CrashChoice> choices;
  const size_t newest = pending_.size() - 1;
  const size_t sectors = sector_count(newest);
  if (sectors == 0) return choices;
  // A sector that keeps what it had anyway is no tear.
  const SparseImage without = build(only_lost(newest));
  const SparseImage with = build(all_kept());
  const uint64_t first = pending(newest).offset / kSector;
  std::vector<bool> differs(sectors);
  for (size_t i = 0; i < sectors; ++i) {
    std::array<std::byte, kSector> before, after;
    without.read((first + i) * kSector, before);
    with.read((first + i) * kSector, after);
    differs[i] = before != after;
  }
  for (size_t i = 0; i < sectors; ++i) {
    choices.push_back(torn(newest, i, SectorFate::garbage, true));
    if (!differs[i]) continue;
    choices.push_back(torn(newest, i, SectorFate::lost, true));
    CrashChoice head = torn(newest, i, SectorFate::lost, true);  // and everything behind it
    CrashChoice tail = head;                                     // and everything before it
    for (size_t k = 0; k < sectors; ++k) {
      (k > i ? head : tail).changes[newest].sectors[k] = SectorFate::lost;
    }
    if (i > 0) choices.push_back(std::move(head));
    if (i + 1 < sectors) choices.push_back(std::move(tail));
  }
  return choices;
}

std::vector<CrashChoice> CrashStates::subsets(std::mt19937_64& random, size_t limit) const {
  constexpr size_t kAllSubsetsMax = 12;
  std::vector<CrashChoice> choices;
  const size_t count = pending_.size();
  if (count <= kAllSubsetsMax) {
    // Without the one that keeps everything.
    for (uint64_t mask = 0; mask + 1 < uint64_t{1} << count; ++mask) choices.push_back(whole(mask));
    return choices;
  }
  for (size_t i = 0; i < count; ++i) {
    choices.push_back(only_lost(i));
    choices.push_back(only_kept(i));
    for (size_t k = i + 1; k < count && choices.size() < 4 * limit; ++k) {
      choices.push_back(only_lost(i));
      choices.back().changes[k].kept = false;
    }
  }
  for (size_t i = 0; i < limit; ++i) choices.push_back(this->random(random));
  return choices;
}

std::vector<CrashChoice> CrashStates::thorough(bool at_flush, size_t limit, uint64_t seed) const {
  std::vector<CrashChoice> choices;
  std::mt19937_64 source(seed ^ point_ * 0x9e3779b97f4a7c15ULL);
  if (!pending_.empty() && pending_.back() + 1 == point_) choices = tears_of_newest();
  if (at_flush && !pending_.empty()) {
    std::vector<CrashChoice> more = subsets(source, limit);
    std::move(more.begin(), more.end(), std::back_inserter(choices));
  }
  if (limit > 0 && choices.size() > limit - 1) {
    std::shuffle(choices.begin(), choices.end(), source);
    choices.resize(limit - 1);
  }
  choices.push_back(all_kept());
  return choices;
}

std::string CrashStates::describe(const CrashChoice& choice) const {
  std::string text = "crash after " + std::to_string(point_) + " events:";
  if (choice.changes.empty()) return text + " nothing pending";
  bool any_garbage = false;
  for (size_t i = 0; i < choice.changes.size(); ++i) {
    const ChangeFate& change = choice.changes[i];
    text += (i == 0 ? " " : ", ") + rvmfs::test::describe(pending(i)) + " ";
    if (change.sectors.empty()) {
      text += change.kept ? "kept" : "lost";
      continue;
    }
    text += "torn ";
    for (const SectorFate fate : change.sectors) {
      any_garbage |= fate == SectorFate::garbage;
      text += fate == SectorFate::lost ? '-' : fate == SectorFate::kept ? '+' : '?';
    }
  }
  if (any_garbage) text += " (garbage seed " + std::to_string(choice.garbage_seed) + ")";
  return text;
}

}  // namespace rvmfs::test
