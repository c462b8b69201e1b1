// SPDX-License-Identifier: BSD-2-Clause
//
// Everything that fsck can find: one row a finding, with its number (which never changes), its
// severity, whether it can be repaired, what it says to people, and how it is repaired (or why it
// cannot be). docs/FINDINGS.md is this table for people; a test compares the two.
//
// Severity:
//   note     nothing is wrong; shown with -v, never counted (files that wait for deletion, ...)
//   problem  structures contradict each other; nothing of a user's is lost
//   damage   bytes are lost or cannot be read
// Repair:
//   yes      fsck mends it without loss
//   no       it can only be told
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace rvmfs::fsck {

enum class Severity : uint8_t { note, problem, damage };

// X(name, number, severity, repairable, text, repair)
// clang-format off
#define RVMFS_FSCK_FINDINGS(X)                                                                    \
  X(superblock_damaged, 101, damage, false, "neither copy of the superblock is valid",            \
    "restore the sector from a copy of the image")                                                \
  X(superblock_first_damaged, 102, problem, true, "the superblock is damaged; its copy is good",  \
    "rewritten from its copy")                                                                    \
  X(superblock_copy_damaged, 103, problem, true, "the copy of the superblock is damaged",         \
    "rewritten from the first")                                                                   \
  X(superblock_copies_differ, 104, note, true, "the copy of the superblock is older",             \
    "the copy is rewritten from the first")                                                       \
  X(superblock_fields, 105, damage, false, "the superblock holds impossible values",              \
    "no such volume was ever formatted: nothing to go by")                                        \
  X(features_unknown, 106, damage, false, "the volume needs a newer fsck.rvmfs",                  \
    "use a newer fsck.rvmfs")                                                                     \
  X(owner_record_damaged, 107, note, true, "the owner record is damaged",                         \
    "cleared")                                                                                    \
  X(owner_record_held, 108, note, true, "the volume was not unmounted",                           \
    "cleared")                                                                                    \
  X(image_unreadable, 109, damage, false, "the image cannot be read here",                        \
    "copy the image to a sound medium first")                                                     \
  X(log_status_damaged, 201, damage, false, "neither status copy of the log is valid",            \
    "where the log begins is not known any more")                                                 \
  X(log_status_copy_damaged, 202, note, true, "one status copy of the log is not valid",          \
    "recovery writes both copies")                                                                \
  X(log_status_fields, 203, damage, false, "the log's status holds impossible values",            \
    "where the log begins is not known any more")                                                 \
  X(log_damaged, 204, damage, false, "damage in the middle of the log",                           \
    "what the log held behind this place cannot be trusted")                                      \
  X(log_unit_malformed, 205, damage, false, "a valid unit of the log holds impossible records",   \
    "written by a broken or hostile program")                                                     \
  X(log_foreign_segment, 206, damage, false, "the log speaks of a place that is not its own",     \
    "written by a broken or hostile program")                                                     \
  X(log_torn_tail, 207, note, true, "the log ends with an unfinished write, which never counted", \
    "recovery cuts it off")                                                                       \
  X(log_replayed, 208, note, true, "the log holds changes that are not in place yet",             \
    "recovery puts them in place")                                                                \
  X(page_damaged, 301, damage, false, "a metadata page does not match its hash",                  \
    "its content is lost; so are the objects in it")                                              \
  X(hash_table_damaged, 302, damage, false, "a table of page hashes is damaged",                  \
    "the pages of one chunk cannot be told from damaged ones")                                    \
  X(chunk_place_bad, 303, damage, false, "a metadata chunk lies outside the volume",              \
    "its pages cannot be found")                                                                  \
  X(chunk_missing, 304, damage, false, "a metadata chunk has no place",                           \
    "its pages cannot be found")                                                                  \
  X(chunk_header_bad, 305, problem, true, "a chunk header is wrong",                              \
    "made anew from the pages that are in use")                                                   \
  X(pool_root_bad, 306, problem, true, "the pool root is wrong",                                  \
    "made anew from the pages that are in use")                                                   \
  X(pool_free_list, 307, problem, true, "the list of chunks with free pages is wrong",            \
    "made anew from the pages that are in use")                                                   \
  X(page_leaked, 308, problem, true, "metadata pages are marked used and belong to nothing",      \
    "marked free and zeroed")                                                                     \
  X(page_unmarked, 309, problem, true, "metadata pages are in use and not marked so",             \
    "marked used")                                                                                \
  X(page_shared, 310, damage, false, "a metadata page is used twice",                             \
    "which of the two is right cannot be told")                                                   \
  X(page_free_not_zero, 311, problem, true, "a free metadata page is not zero",                   \
    "zeroed")                                                                                     \
  X(root_bad, 401, damage, false, "the volume root is not valid",                                 \
    "what it named cannot be found")                                                              \
  X(root_blocks_total, 402, problem, true, "the volume root has more blocks than the superblock", \
    "set to the superblock's")                                                                    \
  X(root_counters, 403, problem, true, "counters in the volume root are wrong",                   \
    "set to what was counted")                                                                    \
  X(root_next_inode, 404, problem, true, "the next inode number was given out already",           \
    "set behind the highest inode")                                                               \
  X(root_growth_unfinished, 405, note, true, "growing the volume was cut before it counted",      \
    "growing is finished: set to the superblock's")                                               \
  X(tree_node_bad, 501, damage, false, "a tree node is not valid",                                \
    "what was below it cannot be found")                                                          \
  X(tree_order, 502, damage, false, "keys of a tree node are out of order",                       \
    "which keys are right cannot be told")                                                        \
  X(tree_reference_bad, 503, damage, false, "a reference of the tree leads nowhere",              \
    "what was below it cannot be found")                                                          \
  X(item_unknown, 601, damage, false, "an item of unknown type",                                  \
    "it may be of a newer program, or nothing")                                                   \
  X(item_bad, 602, damage, false, "an item has an impossible shape",                              \
    "what it said is lost")                                                                       \
  X(item_without_inode, 603, problem, true, "items of an inode that does not exist",              \
    "erased")                                                                                     \
  X(inode_bad, 604, damage, false, "an inode holds impossible values",                            \
    "what it said is lost")                                                                       \
  X(inode_missing_root, 605, damage, false, "the root directory is missing",                      \
    "its mode and owner are lost")                                                                \
  X(inode_blocks, 606, problem, true, "an inode counts its blocks wrong",                         \
    "set to what was counted")                                                                    \
  X(inode_links, 607, problem, true, "an inode counts its links wrong",                           \
    "set to the number of its names")                                                             \
  X(inode_lost, 608, problem, true, "an inode has no name",                                       \
    "named #INODE in /lost+found")                                                                \
  X(directory_size, 609, problem, true, "a directory counts its entries wrong",                   \
    "set to what was counted")                                                                    \
  X(directory_parent, 610, problem, true, "a directory's '..' is wrong",                          \
    "set to the directory that names it")                                                         \
  X(directory_cycle, 611, problem, true, "directories cannot be reached from the root",           \
    "one of them is taken out and named #INODE in /lost+found")                                   \
  X(directory_two_names, 612, problem, true, "a directory has two names",                         \
    "one is erased: the one that '..' disagrees with")                                            \
  X(entry_dangling, 613, problem, true, "a name leads to no inode",                               \
    "erased")                                                                                     \
  X(entry_type, 614, problem, true, "a directory entry has a wrong file type",                    \
    "set to the inode's")                                                                         \
  X(entry_name, 615, problem, true, "a directory entry cannot be found by its name",              \
    "erased; what it named may get a name in /lost+found")                                        \
  X(entry_in_non_directory, 616, problem, true, "directory entries in something else",            \
    "erased; what they named may get a name in /lost+found")                                      \
  X(xattr_bad, 617, problem, true, "an extended attribute is incomplete or cannot be found",      \
    "what is there of it is erased")                                                              \
  X(inline_bad, 618, damage, false, "data within the metadata are incomplete",                    \
    "content is lost")                                                                            \
  X(extent_bad, 619, damage, false, "an extent leads outside the volume or overlaps another",     \
    "which blocks the content was in cannot be told")                                             \
  X(blocks_shared, 620, damage, false, "blocks belong to two owners",                             \
    "whose content it is cannot be told")                                                         \
  X(orphan_dangling, 621, problem, true, "a file to be deleted does not exist",                   \
    "the note to delete it is erased")                                                            \
  X(orphan_linked, 622, problem, true, "a file to be deleted still has names",                    \
    "the note to delete it is erased")                                                            \
  X(orphan_waiting, 623, note, true, "deleted files are cleared at the next mount",               \
    "left to the next mount")                                                                     \
  X(group_table_bad, 701, damage, false, "the table of block groups is damaged",                  \
    "which blocks are free cannot be told")                                                       \
  X(blocks_unmarked, 702, problem, true, "blocks are in use and marked free",                     \
    "marked used")                                                                                \
  X(blocks_leaked, 703, problem, true, "blocks are marked used and belong to nothing",            \
    "marked free")                                                                                \
  X(group_counter, 704, problem, true, "a block group counts its used blocks wrong",              \
    "set to what was counted")                                                                    \
  X(not_judged, 801, note, true, "links and free space were not judged because of the damage",    \
    "judged when the damage is gone")
// clang-format on

enum class FindingId : uint16_t {
#define RVMFS_FSCK_ID(name, number, severity, repairable, text, repair) name = number,
  RVMFS_FSCK_FINDINGS(RVMFS_FSCK_ID)
#undef RVMFS_FSCK_ID
};

struct FindingRow {
  FindingId id;
  const char* name;
  Severity severity;
  bool repairable;
  const char* text;
  const char* repair;  // what is done; if it cannot be repaired, why or what else to do
};

// The row of a finding; every FindingId has one.
const FindingRow& finding_row(FindingId id);

// All rows, in the order of their numbers.
std::span<const FindingRow> finding_rows();

// The table as a page of Markdown: docs/FINDINGS.md, and what --list-findings prints.
std::string findings_page();

}  // namespace rvmfs::fsck
