// SPDX-License-Identifier: BSD-2-Clause
//
// Errors as values: every call of librvm that can fail returns Result<T>, and never throws.
//
// An Error is small and trivially copyable: a code, the host's errno where a system call failed, a
// position (byte offset in the log, the segment or the region, whichever the message speaks of) and
// a static text. It is cheap enough to be used as a control value on hot paths (not_resident).
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace rvm {

// One code per kind of failure. Codes below 1000 belong to librvm; a client that builds its own
// layer on Result uses codes from 1000 on (the filesystem does: fs/errors.h).
enum class Errc : uint32_t {
  io = 1,             // the device failed; os_errno tells how
  no_space,           // the device (or its host filesystem) is full
  out_of_range,       // offset or length outside the device, region or space
  invalid_argument,   // a parameter that can never be right
  not_mapped,         // the address or offset belongs to no mapped region
  overlap,            // the bytes are mapped already, or the address range is in use
  uncommitted,        // open transactions stand in the way
  no_transaction,     // the transaction has ended already
  too_big,            // the transaction does not fit the log; it stays active
  not_a_log,          // no status block of librvm at this place
  version_skew,       // written by a newer librvm than this one
  damaged_log,        // damage in the middle of the log; position = log offset
  damaged_page,       // a page failed its hash; position = segment offset
  damaged_structure,  // a persistent structure contradicts itself; position = space offset
  read_only,          // the instance was opened read-only
  failed,             // an earlier log write or flush failed: nothing more can be made durable
  out_of_memory,      // the host gave no memory or address space
  not_resident,       // the page must be read first and the access was not allowed to wait
  undeclared_change,  // bytes were changed outside every declared range
  no_segment,         // a segment named by the log cannot be opened
  full,               // a heap, pool or table has no room left
  not_found,          // no such key or name
  exists,             // the key or name is there already
  busy,               // in use by somebody else
  client = 1000,      // first code of the client
};

struct Error {
  Errc code{};
  int os_errno = 0;
  uint64_t position = 0;
  const char* what = "";  // static storage only

  friend bool operator==(const Error& error, Errc code) { return error.code == code; }
};

// A sentence for people: what failed, where, and the host's own word for it.
std::string describe(const Error& error);

// A value or an Error. Discarding one is a compile-time warning (an error in this project).
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(const Error& error) : Base(tl::unexpect, error) {}  // NOLINT(google-explicit-constructor)
  // From a value that converts to T (tl::expected's own constructor is hidden by the one above).
  template <typename U = T>
  requires(!std::is_void_v<T> && std::is_convertible_v<U&&, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result>) Result(U&& value)
      : Base(std::forward<U>(value)) {}  // NOLINT(google-explicit-constructor)
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using Base = tl::expected<void, Error>;
  using Base::Base;
  Result() = default;
  Result(const Error& error) : Base(tl::unexpect, error) {}  // NOLINT(google-explicit-constructor)
};

}  // namespace rvm

#define RVM_CONCAT_INNER(a, b) a##b
#define RVM_CONCAT(a, b) RVM_CONCAT_INNER(a, b)

// Evaluates a Result<...> expression; on error returns the error from the enclosing function.
#define RVM_TRY(expression)                                                                 \
  do {                                                                                      \
    if (auto rvm_try_result = (expression); !rvm_try_result) return rvm_try_result.error(); \
  } while (false)

// RVM_ASSIGN(auto value, expression): as RVM_TRY, and binds the value.
#define RVM_ASSIGN(declaration, expression) \
  RVM_ASSIGN_INNER(RVM_CONCAT(rvm_assign_, __LINE__), declaration, expression)
#define RVM_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                             \
  if (!name) return name.error();                       \
  declaration = std::move(*name)
