// SPDX-License-Identifier: BSD-2-Clause
//
// See out_of_memory.h. The handler takes no memory and no lock.

#include "rvm/out_of_memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace rvm {
namespace {

const char* program_name = "";
int code = 1;

[[noreturn]] void end_of_memory() {
  static constexpr char kText[] =
      ": out of memory; what was durable is safe, and the next use of the image recovers it\n";
  const iovec parts[] = {{const_cast<char*>(program_name), std::strlen(program_name)},
                         {const_cast<char*>(kText), sizeof(kText) - 1}};
  // There is nobody to tell if this fails too.
  [[maybe_unused]] const ssize_t written = ::writev(STDERR_FILENO, parts, 2);
  ::_exit(code);
}

}  // namespace

void exit_when_out_of_memory(const char* program, int exit_code) {
  program_name = program;
  code = exit_code;
  std::set_new_handler(end_of_memory);
}

}  // namespace rvm
