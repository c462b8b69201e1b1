// SPDX-License-Identifier: BSD-2-Clause
//
// Requests as the kernel sent them, for what libfuse's decoding drops or does not know:
//   - flags of known requests (kill the setuid bit with this write)
//   - whole requests that are newer than libfuse: TMPFILE, STATX, SYNCFS, SETXATTR with flags,
//     COPY_FILE_RANGE_64
//
// Thread rules: current_request() belongs to the thread that works on the request.
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>

#include "fs/daemon/state.h"

namespace rvmfs {

class RingSlot;

struct RawRequest {
  int fd = -1;               // where the reply goes
  int lane = -1;             // the CPU whose lane sends it (reply_lanes.h); -1: none does
  RingSlot* slot = nullptr;  // whose buffer it is in, and takes the reply (ring_slot.h)
  fuse_in_header header{};
  std::span<const std::byte> body;  // behind the header

  // A copy of the struct at the beginning of the body; nullopt if the body is too short.
  template <typename T>
  std::optional<T> in() const {
    if (body.size() < sizeof(T)) return std::nullopt;
    T value;
    memcpy(&value, body.data(), sizeof value);
    return value;
  }
};

// The request that this thread works on.
const RawRequest& current_request();

// While it lives, `request` is the current one of this thread.
class CurrentRequest {
 public:
  explicit CurrentRequest(const RawRequest& request);
  ~CurrentRequest();
  CurrentRequest(const CurrentRequest&) = delete;
  CurrentRequest& operator=(const CurrentRequest&) = delete;
};

// Whether it may take so long that other requests should not wait for it. Small reads and writes
// usually are served from the host's cache; if not, the device says so (announcing_device.h).
bool takes_long(const RawRequest& request);
// A READ or WRITE of so much that copying it takes longer than waking another CPU.
bool is_large(const RawRequest& request);

// Did the kernel ask to clear setuid, setgid and file capabilities with this WRITE or SETATTR?
bool write_kills_suid_gid();
bool setattr_kills_suid_gid();

// Carries out and answers requests that libfuse does not know. False: not such a request.
bool answer_raw(MountState& state, const RawRequest& request);

}  // namespace rvmfs
