// SPDX-License-Identifier: BSD-2-Clause
//
// See tier.h.
#include "tests/support/tier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/support/environment.h"

namespace rvmfs::test {
namespace {

constexpr std::chrono::seconds kBetweenProgress{5};

[[noreturn]] void refuse(const char* name, const std::string& text) {
  std::fprintf(stderr, "%s=%s: what is that?\n", name, text.c_str());
  std::exit(2);
}

}  // namespace

Tier tier() {
  const std::string text = text_from_environment("RVMFS_TIER");
  if (text.empty() || text == "commit") return Tier::commit;
  if (text == "nightly") return Tier::nightly;
  if (text == "release") return Tier::release;
  refuse("RVMFS_TIER", text);
}

Slice slice() {
  const std::string text = text_from_environment("RVMFS_SLICE");
  if (text.empty()) return {};
  uint64_t number = 0;
  Slice slice;
  char rest = 0;
  const int found = std::sscanf(text.c_str(), "%lu/%lu%c", &number, &slice.count, &rest);
  if (found != 2 || number == 0 || number > slice.count) refuse("RVMFS_SLICE", text);
  slice.index = number - 1;
  return slice;
}

uint64_t share_of_slice(uint64_t whole) {
  const Slice mine = slice();
  return whole / mine.count + (mine.index < whole % mine.count ? 1 : 0);
}

Total::Total(std::string part)
    : part_(std::move(part)), begin_(std::chrono::steady_clock::now()), last_progress_(begin_) {}

Total::~Total() {
  std::printf("%s\n", line().c_str());
  std::fflush(stdout);
}

void Total::add(const std::string& name, uint64_t count) {
  auto figure = std::find_if(figures_.begin(), figures_.end(),
                             [&](const auto& entry) { return entry.first == name; });
  if (figure == figures_.end()) figure = figures_.insert(figures_.end(), {name, 0});
  figure->second += count;
}

void Total::progress(uint64_t done, uint64_t of) {
  const auto now = std::chrono::steady_clock::now();
  if (tier() == Tier::commit || now - last_progress_ < kBetweenProgress) return;
  last_progress_ = now;
  std::printf("PROGRESS part=%s done=%lu of=%lu\n", part_.c_str(), done, of);
  std::fflush(stdout);
}

double Total::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

std::string Total::line() const {
  std::string text = "TOTAL part=" + part_;
  for (const auto& [name, count] : figures_) text += fmt::format(" {}={}", name, count);
  return text + fmt::format(" seconds={:.1f} failures={}", seconds(), failures_);
}

}  // namespace rvmfs::test
