// SPDX-License-Identifier: BSD-2-Clause
//
// Errors in words. `describe` gives one sentence of up to four parts, in this order:
//
//   <what failed> : <code in words> (<the host's word for errno>) at <position>
//
// `what` is the failing site's own text and is left out when empty; the errno part appears only
// after a failed system call; the position only where it can mean something, that is when it is not
// zero or when the code is about a position.
#include "rvm/error.h"

#include <array>
#include <cstring>

namespace rvm {
namespace {

const char* code_text(Errc code) {
  switch (code) {
    case Errc::io: return "input/output error";
    case Errc::no_space: return "no space left";
    case Errc::out_of_range: return "outside the device, region or space";
    case Errc::invalid_argument: return "invalid argument";
    case Errc::not_mapped: return "not mapped";
    case Errc::overlap: return "overlaps something that is mapped or in use";
    case Errc::uncommitted: return "transactions are still open";
    case Errc::no_transaction: return "the transaction has ended already";
    case Errc::too_big: return "the transaction does not fit the log";
    case Errc::not_a_log: return "no log here";
    case Errc::version_skew: return "written by a newer version";
    case Errc::damaged_log: return "the log is damaged";
    case Errc::damaged_page: return "a page failed its hash";
    case Errc::damaged_structure: return "a structure is damaged";
    case Errc::read_only: return "read-only";
    case Errc::failed: return "an earlier write to the log failed";
    case Errc::out_of_memory: return "out of memory";
    case Errc::not_resident: return "the page is not in memory";
    case Errc::undeclared_change: return "bytes changed outside every declared range";
    case Errc::no_segment: return "a segment cannot be opened";
    case Errc::full: return "full";
    case Errc::not_found: return "not found";
    case Errc::exists: return "exists already";
    case Errc::busy: return "in use";
    case Errc::client: break;
  }
  return nullptr;
}

bool speaks_of_position(Errc code) {
  return code == Errc::damaged_log || code == Errc::damaged_page ||
         code == Errc::damaged_structure || code == Errc::undeclared_change;
}

// The two strerror_r of the world differ in what they return.
[[maybe_unused]] const char* pick(int /*status*/, const char* buffer) { return buffer; }
[[maybe_unused]] const char* pick(const char* text, const char* /*buffer*/) { return text; }

std::string errno_text(int os_errno) {
  std::array<char, 128> buffer{};
  return pick(strerror_r(os_errno, buffer.data(), buffer.size()), buffer.data());
}

}  // namespace

std::string describe(const Error& error) {
  std::string text;
  if (error.what != nullptr && *error.what != '\0') text = std::string(error.what) + ": ";
  if (const char* words = code_text(error.code)) {
    text += words;
  } else {
    text += "error " + std::to_string(static_cast<uint32_t>(error.code));
  }
  if (error.os_errno != 0) text += " (" + errno_text(error.os_errno) + ")";
  if (error.position != 0 || speaks_of_position(error.code)) {
    text += " at " + std::to_string(error.position);
  }
  return text;
}

}  // namespace rvm
