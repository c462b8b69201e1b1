// SPDX-License-Identifier: BSD-2-Clause
//
// What a Device does where an implementation knows nothing better.
#include "rvm/device.h"

namespace rvm {

Result<void> Device::write_durable(uint64_t offset, std::span<const std::byte> in) {
  RVM_TRY(write(offset, in));
  Result<void> flushed = flush();
  // A flush that finds the host full may have lost what was written: no second try mends that.
  if (!flushed && flushed.error().code == Errc::no_space) flushed.error().code = Errc::io;
  return flushed;
}

}  // namespace rvm
