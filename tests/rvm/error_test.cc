// SPDX-License-Identifier: BSD-2-Clause
//
// Errors in words, and the macros that pass them on.
#include "rvm/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>

namespace rvm {
namespace {

TEST(ErrorInWords, says_what_failed_why_and_where) {
  EXPECT_EQ(describe(Error{Errc::io, EIO, 4096, "cannot read the image"}),
            "cannot read the image: input/output error (Input/output error) at 4096");
  EXPECT_EQ(describe(Error{Errc::no_space, ENOSPC, 0, "cannot write"}),
            "cannot write: no space left (No space left on device)");
}

TEST(ErrorInWords, leaves_out_what_is_not_known) {
  EXPECT_EQ(describe(Error{Errc::read_only, 0, 0, ""}), "read-only");
  EXPECT_EQ(describe(Error{Errc::busy, 0, 0, nullptr}), "in use");
}

TEST(ErrorInWords, gives_position_zero_where_the_code_is_about_a_position) {
  EXPECT_EQ(describe(Error{Errc::damaged_log, 0, 0, ""}), "the log is damaged at 0");
}

TEST(ErrorInWords, has_different_words_for_every_code) {
  std::set<std::string> all;
  const auto last = static_cast<uint32_t>(Errc::busy);
  for (uint32_t code = 1; code <= last; ++code) {
    const std::string words = describe(Error{static_cast<Errc>(code), 0, 0, ""});
    EXPECT_NE(words.substr(0, 6), "error ") << "code " << code << " has no words";
    EXPECT_TRUE(all.insert(words).second) << words;
  }
}

TEST(ErrorInWords, names_the_number_of_a_code_of_the_client) {
  EXPECT_EQ(describe(Error{static_cast<Errc>(1007), 0, 0, "file"}), "file: error 1007");
}

Result<int> half(int value) {
  if (value % 2 != 0) return Error{Errc::invalid_argument, 0, static_cast<uint64_t>(value), "odd"};
  return value / 2;
}

Result<int> quarter(int value) {
  RVM_ASSIGN(const int once, half(value));
  RVM_ASSIGN(const int twice, half(once));
  return twice;
}

Result<void> check(int value) {
  RVM_TRY(quarter(value));
  return {};
}

Result<std::unique_ptr<int>> boxed(int value) {
  RVM_ASSIGN(auto box, Result<std::unique_ptr<int>>(std::make_unique<int>(value)));
  return box;
}

TEST(ResultMacros, pass_values_on) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_TRUE(check(8));
  EXPECT_EQ(**boxed(3), 3);
}

TEST(ResultMacros, pass_the_first_error_on) {
  const auto result = quarter(6);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error() == Errc::invalid_argument);
  EXPECT_EQ(result.error().position, 3u);
  EXPECT_FALSE(check(2));
}

}  // namespace
}  // namespace rvm
