// SPDX-License-Identifier: BSD-2-Clause
//
// Spaces: offsets to memory, chunks mapped on first use, growth that aborts and is tried elsewhere.
#include "rvm/space.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/rvm/structures_world.h"

namespace rvmfs::test {
namespace {

using rvm::ChunkPlace;
using rvm::Errc;
using rvm::kLogDeviceSegment;
using rvm::kPageBytes;
using rvm::Ref;
using rvm::Transaction;
using rvm::format::kChunkBytes;

struct Pair {
  uint64_t first, second;
};

// Gives the places that a test puts into it, and counts questions.
class ListedSource : public rvm::ChunkSource {
 public:
  rvm::Result<ChunkPlace> locate(uint64_t index) override {
    ++located;
    if (index >= places.size()) return rvm::Error{.code = Errc::out_of_range, .what = "no chunk"};
    return places[index];
  }
  rvm::Result<ChunkPlace> grow(Transaction&, uint64_t index) override { return locate(index); }
  std::vector<ChunkPlace> places;
  std::atomic<int> located = 0;
};

constexpr uint64_t kLogBytes = 4 << 20;

class SpaceTest : public testing::Test {
 protected:
  SpaceTest() : device_(MemoryDevice::disk(64 << 20)) {
    must(rvm::Rvm::create_log(*device_, {.length = kLogBytes}));
    open();
  }
  void open() {
    rvm::Options options;
    options.log_device = device_;
    rvm_ = must(rvm::Rvm::initialize(std::move(options)));
    space_ = must(rvm::Space::open(*rvm_, source_, 32 * kChunkBytes));
  }
  ChunkPlace place(uint64_t megabyte) {
    return {kLogDeviceSegment, kLogBytes + megabyte * kChunkBytes};
  }
  void format(uint64_t index, const ChunkPlace& where, bool commits = true) {
    Transaction tx = rvm_->begin();
    must(space_->format_chunk(tx, index, where));
    Pair* pair = must(space_->modify(tx, Ref<Pair>{index * kChunkBytes + kPageBytes}));
    EXPECT_EQ(pair->first, 0U) << "a formatted chunk is all zeros";
    *pair = {index, where.offset};
    if (commits) {
      must(tx.end(rvm::Commit::flush));
    } else {
      must(tx.abort());
    }
  }

  std::shared_ptr<MemoryDevice> device_;
  ListedSource source_;
  std::unique_ptr<rvm::Rvm> rvm_;
  std::unique_ptr<rvm::Space> space_;
};

TEST_F(SpaceTest, keeps_what_was_committed_under_the_same_offset) {
  source_.places = {place(3), place(0), place(7)};
  for (uint64_t i = 0; i < 3; ++i) format(i, source_.places[i]);
  space_.reset();
  must(rvm_->close());
  rvm_.reset();
  open();
  for (uint64_t i = 0; i < 3; ++i) {
    const Pair* pair = must(space_->get(Ref<Pair>{i * kChunkBytes + kPageBytes}));
    EXPECT_EQ(pair->first, i);
    EXPECT_EQ(pair->second, source_.places[i].offset);
  }
}

TEST_F(SpaceTest, places_chunks_side_by_side_in_memory) {
  source_.places = {place(3), place(0)};
  for (uint64_t i = 0; i < 2; ++i) format(i, source_.places[i]);
  EXPECT_EQ(must(space_->read(kChunkBytes + 8 * kPageBytes, 1)) - must(space_->read(kPageBytes, 1)),
            static_cast<ptrdiff_t>(kChunkBytes + 7 * kPageBytes));
}

TEST_F(SpaceTest, maps_chunks_on_first_use_only) {
  source_.places = {place(0), place(1), place(2)};
  for (uint64_t i = 0; i < 3; ++i) format(i, source_.places[i]);
  must(rvm_->close());  // the Rvm may go before the space
  rvm_.reset();
  space_.reset();
  open();
  EXPECT_EQ(rvm_->query().mapped_regions, 0U);
  must(space_->read(kChunkBytes + kPageBytes, 8));
  must(space_->read(kChunkBytes + 9 * kPageBytes, 8));
  EXPECT_EQ(rvm_->query().mapped_regions, 1U);
}

TEST_F(SpaceTest, refuses_offsets_that_name_no_byte) {
  source_.places = {place(0), place(1)};
  format(0, place(0));
  format(1, place(1));
  EXPECT_ERROR(space_->read(0, 8), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kPageBytes - 8, 8), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kPageBytes - 8, 16), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kChunkBytes, 8), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kChunkBytes - 8, 16), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kPageBytes, UINT64_MAX), Errc::out_of_range);
  EXPECT_ERROR(space_->read(kChunkBytes - 8, UINT64_MAX - 4), Errc::out_of_range);
  EXPECT_ERROR(space_->read(UINT64_MAX - 7, 8), Errc::out_of_range);
  EXPECT_ERROR(space_->read(5 * kChunkBytes + kPageBytes, 8), Errc::out_of_range);
  EXPECT_ERROR(space_->read(32 * kChunkBytes + kPageBytes, 8), Errc::out_of_range);
  Transaction tx = rvm_->begin();
  EXPECT_ERROR(space_->modify(tx, kChunkBytes - 8, 16), Errc::out_of_range);
  EXPECT_ERROR(space_->format_chunk(tx, 32, place(9)), Errc::out_of_range);
  must(space_->read(kChunkBytes - 8, 8));
}

TEST_F(SpaceTest, needs_room_for_one_chunk) {
  EXPECT_ERROR(rvm::Space::open(*rvm_, source_, kChunkBytes - 1), Errc::invalid_argument);
}

TEST_F(SpaceTest, formats_a_chunk_again_at_the_same_place_after_an_abort) {
  source_.places = {place(0), place(1)};
  format(0, place(0));
  format(1, place(1), /*commits=*/false);
  format(1, place(1), /*commits=*/false);
  format(1, place(1));
  EXPECT_EQ(must(space_->get(Ref<Pair>{kChunkBytes + kPageBytes}))->second, place(1).offset);
}

TEST_F(SpaceTest, formats_a_chunk_elsewhere_after_an_abort_and_leaves_the_first_place_alone) {
  source_.places = {place(0), place(1)};
  format(0, place(0));
  format(1, place(1), /*commits=*/false);
  const Bytes foreign = pattern(kChunkBytes, 7);
  write_all(*device_, place(1).offset, foreign);
  source_.places[1] = place(5);
  format(1, place(5));
  must(rvm_->truncate());
  EXPECT_EQ(read_all(*device_, place(1).offset, kChunkBytes), foreign);
  space_.reset();
  must(rvm_->close());
  rvm_.reset();
  open();
  EXPECT_EQ(must(space_->get(Ref<Pair>{kChunkBytes + kPageBytes}))->second, place(5).offset);
}

TEST_F(SpaceTest, formats_again_a_chunk_that_was_committed_before) {
  source_.places = {place(0), place(1)};
  format(0, place(0));
  format(1, place(1));
  source_.places[1] = place(2);
  format(1, place(2));
  EXPECT_EQ(must(space_->get(Ref<Pair>{kChunkBytes + kPageBytes}))->second, place(2).offset);
}

TEST_F(SpaceTest, can_be_opened_on_more_addresses_than_there_is_memory) {
  auto wide = must(rvm::Space::open(*rvm_, source_, uint64_t{1} << 40));
  EXPECT_EQ(wide->chunks_max(), uint64_t{1} << 20);
}

TEST_F(SpaceTest, maps_a_chunk_once_when_many_threads_meet_it) {
  source_.places = {place(0), place(1), place(2), place(3)};
  for (uint64_t i = 0; i < 4; ++i) format(i, source_.places[i]);
  space_.reset();
  must(rvm_->close());
  rvm_.reset();
  open();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 4; ++i) {
        const auto pair = space_->get(Ref<Pair>{i * kChunkBytes + kPageBytes});
        if (!pair || (*pair)->first != i) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(rvm_->query().mapped_regions, 4U);
}

}  // namespace
}  // namespace rvmfs::test
