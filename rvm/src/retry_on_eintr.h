// SPDX-License-Identifier: BSD-2-Clause
//
// A system call that a signal interrupted is made again.
#pragma once

#include <cerrno>

namespace rvm {

// `call` returns -1 and sets errno, as system calls do.
template <typename Call>
auto retry_on_eintr(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace rvm
