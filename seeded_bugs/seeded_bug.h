// SPDX-License-Identifier: BSD-2-Clause
//
// Seeded bugs: defects that are switched on by name, to prove that the crash tests would find them
// (tests/crash/seeded_bugs.sh). In ordinary builds RVM_SEEDED_BUG is the constant false, and the
// compiler removes the defect. Built with RVM_SEEDED_BUGS, the environment variable
// RVMFS_SEEDED_BUG names the one that is active.
//
// kSeededBugs lists them all, one line each: the script reads it, and names are checked against it
// at compile time. Sources of librvm and of the filesystem include this header; headers do not.
#pragma once

#include <string_view>

#ifdef RVM_SEEDED_BUGS
#include <cstdlib>
#endif

namespace seeded_bugs {

struct SeededBug {
  std::string_view name;
  std::string_view what;  // is wrong
};

// clang-format off
inline constexpr SeededBug kSeededBugs[] = {
    // The log
    {"log_flush_skipped", "a unit of the log is written but not flushed"},
    {"unit_hash_ignored", "recovery believes a unit whose hash does not match"},
    {"generation_kept", "recovery does not begin a new generation"},
    {"old_lap_accepted", "a unit of an earlier lap of the log counts as the next one"},
    {"group_split", "the first unit of a group counts without the rest"},
    {"group_written_early", "a unit of a group is written before the one before it is durable"},
    {"wrap_off_by_one_block", "the record area wraps one block too early when reading"},
    {"room_one_block_short", "the newest unit may overwrite the last block before the head"},
    {"status_one_copy", "only the first status block is written"},
    {"failed_flush_forgotten", "after a flush of the log failed, commits go on"},
    // Transactions and the spool
    {"range_one_byte_short", "the last byte of a declared range is not logged"},
    {"undo_forgotten", "abort leaves the new bytes in memory"},
    {"undo_oldest_first", "abort restores overlapping ranges in the wrong order"},
    {"refused_batch_dropped", "commits that found no room on the host are forgotten"},
    {"data_flush_skipped", "metadata become durable before the data that they refer to"},
    {"data_note_forgotten", "a write of the client is neither logged nor flushed"},
    {"data_home_flush_skipped", "logged data leave the log before they are durable at home"},
    {"revoked_without_flush", "a logged copy is revoked for newer bytes that are not durable"},
    {"revoke_forgotten", "a logged copy stays valid when its bytes have changed at home"},
    // Recovery
    {"recovery_flush_skipped", "recovery does not make durable what it read"},
    {"stale_cache_believed", "recovery believes what the host shows after a failed flush"},
    {"recovery_head_first", "recovery declares the log empty before its pages are home"},
    {"zeros_not_replayed", "recovery skips the records of zeros"},
    {"page_hash_ignored", "a loaded page is not checked"},
    // Truncation and home writes
    {"head_advanced_early", "the head advances before the pages are written home"},
    {"head_past_busy_pages", "the head advances past pages that could not be written home"},
    {"uncommitted_page_home", "incremental truncation takes pages with uncommitted bytes"},
    {"home_flush_skipped", "the head advances before home pages are durable"},
    {"other_devices_not_flushed", "of several segments' devices only the first is flushed"},
    {"journal_skipped", "pages go home without having been in the page journal"},
    {"journal_flush_skipped", "pages go home before their journal is durable"},
    {"journal_hash_ignored", "a torn page journal is written home"},
    {"new_pages_not_flushed", "hashes of new pages may be durable before the pages"},
    {"old_pages_in_place", "recovery writes pages home whose old bytes it still needs"},
    {"table_not_in_batch", "a page's new hash goes home in no batch"},
    // Blocks and file contents
    {"data_not_ordered", "new blocks become a file's before their bytes are durable"},
    {"convert_not_ordered", "a small file moves into a block that is not durable"},
    {"freed_block_reused_early", "freed blocks are reused before that is durable"},
    {"extent_one_block_short", "an extent covers one block less than was written"},
    {"block_not_padded", "what lies around the data in a new block stays as it was"},
    {"gap_not_zeroed", "a file that grows shows what lay behind its end"},
    {"edges_not_zeroed", "the edges of a punched or zeroed range keep their bytes"},
    {"unwritten_flag_lost", "blocks without data count as written"},
    {"truncate_in_two_transactions", "the blocks of a truncated file go before its size"},
    {"chunk_not_marked", "the blocks of a metadata chunk stay free in the bitmap"},
    {"enospc_swallowed", "a write that finds no space reports success"},
    // Names and attributes
    {"rename_in_two_transactions", "rename removes the target in a transaction of its own"},
    {"dotdot_kept", "a directory that was moved keeps its old parent"},
    {"orphan_forgotten", "a file that lost its last name is not noted for deletion"},
    {"orphans_kept", "opening does not delete files without a name"},
    {"mtime_not_logged", "the times of a write reach memory only"},
    {"xattr_piece_left", "a shorter attribute value leaves the end of the longer one"},
    // The volume
    {"fdatasync_without_log", "fdatasync flushes the data but not the log"},
    {"superblocks_at_once", "both superblocks are written without a flush between"},
    {"superblock_not_healed", "opening leaves a damaged superblock as it is"},
    {"grow_root_first", "growing makes the new size durable before the superblocks know it"},
};
// clang-format on

consteval bool is_seeded_bug(std::string_view name) {
  for (const SeededBug& bug : kSeededBugs) {
    if (bug.name == name) return true;
  }
  return false;
}

#ifdef RVM_SEEDED_BUGS
inline bool is_active(std::string_view name) {
  const char* const active = std::getenv("RVMFS_SEEDED_BUG");
  return active != nullptr && name == active;
}
#define RVM_SEEDED_BUG(name)                                   \
  ([] {                                                        \
    static_assert(::seeded_bugs::is_seeded_bug(name));         \
    static const bool active = ::seeded_bugs::is_active(name); \
    return active;                                             \
  }())
#else
// Not a lambda: a plain constant leaves no branch behind for coverage to count.
consteval bool is_switched_off(std::string_view name) {
  if (!is_seeded_bug(name)) throw "no such seeded bug";  // does not compile
  return true;
}
#define RVM_SEEDED_BUG(name) (!::seeded_bugs::is_switched_off(name))
#endif

}  // namespace seeded_bugs
