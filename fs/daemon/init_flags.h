// SPDX-License-Identifier: BSD-2-Clause
//
// What is agreed with the kernel when the session begins (FUSE_INIT).
//
// libfuse answers INIT itself and knows only the features of its own time. So the session looks at
// the kernel's raw request first, to learn what is offered, and edits libfuse's reply on its way
// out, to accept more. A feature is used if the kernel offers it and it was not disabled.
//
// Thread rules: see_request and edit_reply happen once, in the worker that got INIT, before the
// kernel sends anything else; after that everything here is read only.
#pragma once

#include <fuse3/fuse_lowlevel.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rvmfs {

enum class Feature : uint8_t {
  killpriv_v2,         // the kernel does not ask for security.capability before every write
  no_open,             // files are opened and closed without a message
  no_opendir,          // directories are, too
  no_create,           // new files: MKNOD instead of CREATE, so that there is no RELEASE
  readdirplus,         // names and attributes at once
  readdirplus_always,  // also for programs that first read all names, then ask for attributes
  parallel_dirops,
  export_support,  // file handles (NFS, open_by_handle_at)
  cache_symlinks,
  tmpfile,         // O_TMPFILE
  statx,           // birth times
  copy_range_64,   // copy_file_range with lengths of 64 bits
  acl,             // POSIX ACLs, enforced by the kernel
  setxattr_ext,    // an ACL that is set by a stranger to the group takes setgid away
  direct_io_mmap,  // mappings of files that bypass the cache (none of ours has to)
  idmap,           // idmapped mounts of the volume
  io_uring,        // requests and replies over io_uring (ring.h)
  fuseblk,         // block devices are mounted as such, by root (not a matter of FUSE_INIT)
};

class FeatureSet {
 public:
  void add(Feature feature) { bits_ |= 1u << static_cast<int>(feature); }
  bool has(Feature feature) const { return (bits_ >> static_cast<int>(feature) & 1) != 0; }

 private:
  uint32_t bits_ = 0;
};

std::optional<Feature> feature_by_name(std::string_view name);
std::string feature_names();  // "killpriv_v2, no_open, ..."

class InitFlags {
 public:
  explicit InitFlags(FeatureSet disabled) : disabled_(disabled) {}

  // The raw INIT request, header included.
  void see_request(std::span<const std::byte> request);

  // libfuse's init callback: what to ask of the features that it knows.
  void choose(fuse_conn_info& connection) const;

  // True for the (successful) reply to the INIT request; `body` is then a fuse_init_out.
  bool is_reply(uint64_t unique) const { return seen_ && unique == unique_; }
  void edit_reply(std::span<std::byte> body) const;

  bool enabled(Feature feature) const;
  // It is offered, but cannot be used here. Before edit_reply.
  void give_up(Feature feature) { disabled_.add(feature); }

 private:
  uint64_t added_to_reply() const;

  FeatureSet disabled_;
  bool seen_ = false;
  uint64_t unique_ = 0;
  uint64_t offered_ = 0;  // flags and flags2 of the request
};

}  // namespace rvmfs
