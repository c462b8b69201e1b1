// SPDX-License-Identifier: BSD-2-Clause
//
// A map from ranges of bytes to a value. A newer range replaces what it overlaps; what is left of
// the older ones keeps its value. Neighbours with the same value become one range.
//
// Thread rules: as an int.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace rvm {

template <typename Value>
class RangeMap {
 public:
  struct Rest {  // of a range: where it ends, and its value
    uint64_t end;
    Value value;
  };
  using Ranges = std::map<uint64_t, Rest>;  // by where they begin; disjoint

  bool empty() const { return ranges_.empty(); }
  size_t count() const { return ranges_.size(); }
  uint64_t bytes() const { return bytes_; }
  const Ranges& ranges() const { return ranges_; }

  void set(uint64_t begin, uint64_t end, const Value& value) {
    if (begin >= end) return;
    erase(begin, end);
    auto next = ranges_.lower_bound(begin);
    bytes_ += end - begin;
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (before->second.end == begin && before->second.value == value) {
        begin = before->first;
        ranges_.erase(before);
      }
    }
    if (next != ranges_.end() && next->first == end && next->second.value == value) {
      end = next->second.end;
      next = ranges_.erase(next);
    }
    ranges_.emplace_hint(next, begin, Rest{end, value});
  }

  void erase(uint64_t begin, uint64_t end) {
    if (begin >= end) return;
    for (auto range = first_touching(begin); range != ranges_.end() && range->first < end;) {
      const uint64_t old_begin = range->first;
      const Rest old = range->second;
      range = ranges_.erase(range);
      bytes_ -= std::min(end, old.end) - std::max(begin, old_begin);
      if (old_begin < begin) ranges_.emplace(old_begin, Rest{begin, old.value});
      if (old.end > end) range = ranges_.emplace(end, Rest{old.end, old.value}).first;
    }
  }

  // Calls visit(begin, end, value) for each part of [begin, end) that has a value.
  template <typename Visit>
  void for_each_within(uint64_t begin, uint64_t end, Visit&& visit) const {
    auto range = const_cast<RangeMap*>(this)->first_touching(begin);
    for (; range != ranges_.end() && range->first < end; ++range) {
      visit(std::max(begin, range->first), std::min(end, range->second.end), range->second.value);
    }
  }

  template <typename Predicate>
  void erase_if(Predicate&& predicate) {
    for (auto range = ranges_.begin(); range != ranges_.end();) {
      if (predicate(range->second.value)) {
        bytes_ -= range->second.end - range->first;
        range = ranges_.erase(range);
      } else {
        ++range;
      }
    }
  }

 private:
  // The first range that ends behind `begin`.
  typename Ranges::iterator first_touching(uint64_t begin) {
    auto range = ranges_.upper_bound(begin);
    if (range != ranges_.begin() && std::prev(range)->second.end > begin) --range;
    return range;
  }

  Ranges ranges_;
  uint64_t bytes_ = 0;
};

}  // namespace rvm
