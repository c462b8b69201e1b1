// SPDX-License-Identifier: BSD-2-Clause
//
// Seeded bugs: defects that are switched on by name to prove that the tests would find them
// (tests/crash/seeded_bugs.sh). In ordinary builds the macro is the constant false, and the
// compiler removes the defect. Built with RVM_SEEDED_BUGS, the environment variable
// RVMFS_SEEDED_BUG names the one that is active. kSeededBugs lists them all: bug names are checked
// against it at compile time.
#pragma once

#include <string_view>

namespace rvm {

inline constexpr std::string_view kSeededBugs[] = {
    "log_flush_skipped",       // a unit is written but not flushed
    "home_flush_skipped",      // the head advances before home pages are durable
    "journal_skipped",         // pages go home without having been in the page journal
    "head_advanced_early",     // the head advances before the pages are written home
    "data_flush_skipped",      // metadata become durable before the data that they refer to
    "unit_hash_ignored",       // recovery believes a unit whose hash does not match
    "page_hash_ignored",       // a loaded page is not checked
    "range_one_byte_short",    // the last byte of a declared range is not logged
    "undo_forgotten",          // abort leaves the new bytes in memory
    "status_one_copy",         // only the first status block is written
    "generation_kept",         // recovery does not begin a new generation
    "group_split",             // the first unit of a group counts without the rest
    "uncommitted_page_home",   // incremental truncation takes pages with uncommitted bytes
    "wrap_off_by_one_block",   // the record area wraps one block too early when reading
    "recovery_flush_skipped",  // recovery does not make durable what it read
    "table_not_in_batch",      // a page's new hash goes home in no batch
};

consteval bool is_seeded_bug(std::string_view name) {
  for (const std::string_view known : kSeededBugs) {
    if (known == name) return true;
  }
  return false;
}

#ifdef RVM_SEEDED_BUGS
bool seeded_bug_active(std::string_view name);
#define RVM_SEEDED_BUG(name)                   \
  ([] {                                        \
    static_assert(::rvm::is_seeded_bug(name)); \
    return ::rvm::seeded_bug_active(name);     \
  }())
#else
#define RVM_SEEDED_BUG(name)                   \
  ([] {                                        \
    static_assert(::rvm::is_seeded_bug(name)); \
    return false;                              \
  }())
#endif

}  // namespace rvm
