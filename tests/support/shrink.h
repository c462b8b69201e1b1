// SPDX-License-Identifier: BSD-2-Clause
//
// Makes a failing list smaller: leaves out parts, large ones first, as long as what remains still
// fails. (The method is that of A. Zeller and R. Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", 2002, without its complement step.)
#pragma once

#include <chrono>
#include <functional>
#include <vector>

namespace rvmfs::test {

// `fails` must be true for `items`. Stops after `seconds` with what it has.
template <typename T>
std::vector<T> shrink(std::vector<T> items, const std::function<bool(const std::vector<T>&)>& fails,
                      uint32_t seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (size_t part = (items.size() + 1) / 2; part > 0;) {
    bool removed = false;
    // From the back: what comes late depends on what comes early.
    for (size_t at = items.size(); at > 0;) {
      const size_t begin = at > part ? at - part : 0;
      std::vector<T> fewer(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(begin));
      fewer.insert(fewer.end(), items.begin() + static_cast<std::ptrdiff_t>(at), items.end());
      if (std::chrono::steady_clock::now() > end) return items;
      if (!fewer.empty() && fails(fewer)) {
        items = std::move(fewer);
        removed = true;
      }
      at = begin;
    }
    if (part > 1) {
      part = (part + 1) / 2 < part ? (part + 1) / 2 : part - 1;
    } else if (!removed) {
      break;
    }
  }
  return items;
}

}  // namespace rvmfs::test
