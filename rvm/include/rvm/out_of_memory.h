// SPDX-License-Identifier: BSD-2-Clause
//
// What a program over librvm does when operator new finds no memory: it ends at once, with a
// message.
//
// librvm reports what the host refuses it in bulk (address space, mappings) as Errc::out_of_memory.
// A small allocation that fails is another matter: code that unwinds from any of them, through
// half-made changes and locks, could be tested by nobody. The end of the process, at any
// instruction, is what recovery is for and what the crash tests try out: nothing that was durable
// is lost, and the next open brings it back.
#pragma once

namespace rvm {

// Installs it as the new-handler. `program` is for the message, and kept; the process ends with
// `exit_code` and without running destructors. Call it at the beginning of main().
void exit_when_out_of_memory(const char* program, int exit_code);

}  // namespace rvm
