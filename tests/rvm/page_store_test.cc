// SPDX-License-Identifier: BSD-2-Clause
//
// Pages at home, their hashes and the page journal: segments that cannot be found, pages that
// change while they are read, many tables of hashes, and journals that do not count.
#include "page_store.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "tests/support/bytes.h"
#include "tests/support/fault_device.h"
#include "tests/support/hook_device.h"
#include "tests/support/memory_device.h"

namespace rvm {
namespace {

using format::HashTablePage;
using format::JournalHeader;
using rvmfs::test::DeviceCall;

constexpr uint64_t kTables = 1 << 20;  // offset of the first table page
constexpr uint64_t kPages = 16 << 20;
const Geometry kHashed{.segment = 0,
                       .segment_offset = kPages,
                       .length = 64 * kPageBytes,
                       .hashed = true,
                       .hash_table_offset = kTables};
const Geometry kFlat{.segment = 1, .segment_offset = 0, .length = 64 * kPageBytes};

class PageStoreTest : public ::testing::Test {
 protected:
  PageStoreTest() {
    EXPECT_OK(LogArea::create(*device_, {.length = kLogBytesMin}));
    area_ = std::move(*LogArea::open(hooked_, 0));
    status_ = area_->status();
    make_store();
    store_->format_table(kHashed);
  }

  void make_store() {
    store_ = std::make_unique<PageStore>(
        *area_, [this](SegmentId id) -> Result<std::shared_ptr<Device>> {
          if (lookups_++ == failing_lookup_) return Error{.code = Errc::no_segment};
          return id == 0 ? std::shared_ptr<Device>(hooked_) : other_;
        });
  }

  Result<void> write(std::vector<PageImage> pages) { return store_->write(pages, 0, status_); }
  Result<void> replay_journal() {
    const uint64_t before = store_->pages_written();
    RVM_ASSIGN(const JournalBatch batch, store_->read_journal(status_));
    RVM_TRY(store_->write_home(batch, status_));
    replayed_ = store_->pages_written() - before;
    return {};
  }

  static PageImage image(const Geometry& geometry, uint64_t page, uint8_t value) {
    PageImage image{geometry, page, std::make_unique<std::byte[]>(kPageBytes)};
    std::memset(image.bytes.get(), value, kPageBytes);
    return image;
  }
  static std::vector<PageImage> images(const Geometry& geometry, uint64_t page, uint8_t value) {
    std::vector<PageImage> one;
    one.push_back(image(geometry, page, value));
    return one;
  }
  // A page of each kind, one of them of zeros.
  static std::vector<PageImage> several(uint8_t value) {
    std::vector<PageImage> all = images(kHashed, 3, value);
    all.push_back(image(kHashed, 4, 0));
    all.push_back(image(kFlat, 5, value));
    return all;
  }

  // Pages that lie side by side in memory, as recovery has them, one of them of zeros.
  static std::vector<PageImage> new_pages(uint64_t first, uint64_t count, uint64_t zero) {
    const auto memory = std::make_shared<std::byte[]>(count * kPageBytes);
    std::vector<PageImage> all;
    for (uint64_t i = 0; i < count; ++i) {
      std::byte* const bytes = memory.get() + i * kPageBytes;
      if (first + i != zero) std::memset(bytes, static_cast<int>(first + i), kPageBytes);
      all.push_back({kHashed, first + i, {memory, bytes}, PageImage::Path::in_place});
    }
    return all;
  }

  Result<std::byte> first_byte(const Geometry& geometry, uint64_t page) {
    std::vector<std::byte> bytes(kPageBytes);
    RVM_TRY(store_->load(geometry, page, bytes));
    return bytes[0];
  }

  // Calls `work` with each lookup of a segment failing in turn; it must say so.
  template <typename Work>
  void with_each_lookup_failing(Work&& work) {
    for (uint64_t nth = 0;; ++nth) {
      make_store();
      lookups_ = 0;
      failing_lookup_ = nth;
      const Result<void> done = work();
      failing_lookup_ = UINT64_MAX;
      if (lookups_ <= nth) {
        EXPECT_OK(done);
        EXPECT_GT(nth, 0u);
        return;
      }
      EXPECT_ERROR(done, Errc::no_segment);
    }
  }

  std::shared_ptr<rvmfs::test::MemoryDevice> memory_ = rvmfs::test::MemoryDevice::file(17 << 20);
  std::shared_ptr<rvmfs::test::FaultDevice> device_ =
      std::make_shared<rvmfs::test::FaultDevice>(memory_);
  std::shared_ptr<rvmfs::test::HookDevice> hooked_ =
      std::make_shared<rvmfs::test::HookDevice>(device_);
  std::shared_ptr<Device> other_ = rvmfs::test::MemoryDevice::file(1 << 20);
  uint64_t lookups_ = 0, failing_lookup_ = UINT64_MAX;
  std::unique_ptr<LogArea> area_;
  std::unique_ptr<PageStore> store_;
  format::StatusBlock status_{};
  size_t replayed_ = 0;
};

TEST_F(PageStoreTest, tells_that_a_segment_is_not_to_be_found) {
  ASSERT_OK(write(several(1)));
  with_each_lookup_failing([&] { return write(several(2)); });
  with_each_lookup_failing([&]() -> Result<void> {
    RVM_TRY(first_byte(kHashed, 3));
    RVM_TRY(first_byte(kFlat, 5));
    return {};
  });
  status_.journal_batch = 0;
  with_each_lookup_failing([&] {
    status_.journal_batch = 0;
    return replay_journal();
  });
  EXPECT_GT(replayed_, 0u);
}

TEST_F(PageStoreTest, writes_nothing_more_when_pages_are_half_home) {
  ASSERT_OK(write(several(1)));
  device_->fail_range(DeviceCall::write, kPages, 1 << 20);
  EXPECT_ERROR(write(several(2)), Errc::io);
  EXPECT_TRUE(store_->home_incomplete());
  device_->clear();
  EXPECT_ERROR(write(several(3)), Errc::failed);
  make_store();
  --status_.journal_batch;
  ASSERT_OK(replay_journal());
  EXPECT_EQ(*first_byte(kHashed, 3), std::byte{2});
  EXPECT_EQ(*first_byte(kFlat, 5), std::byte{2});
}

TEST_F(PageStoreTest, reads_a_page_again_that_was_replaced_between_its_hash_and_its_bytes) {
  ASSERT_OK(write(images(kHashed, 3, 1)));
  int times = 0;
  int value = 1;
  const auto replace_when_read = [&](int times_max) {
    times = 0;
    hooked_->hook = [&, times_max](DeviceCall kind, uint64_t offset) -> Result<void> {
      if (kind != DeviceCall::read || offset != kPages + 3 * kPageBytes) return {};
      if (++times > times_max) return {};
      return write(images(kHashed, 3, static_cast<uint8_t>(++value)));
    };
  };
  replace_when_read(1);
  EXPECT_EQ(*first_byte(kHashed, 3), std::byte{2});
  EXPECT_EQ(times, 2);
  // Nobody writes a page home four times while it is read once: then it is damaged.
  replace_when_read(100);
  EXPECT_ERROR(first_byte(kHashed, 3), Errc::damaged_page);
  EXPECT_EQ(times, 4);
  hooked_->hook = nullptr;
  EXPECT_OK(first_byte(kHashed, 3));
}

TEST_F(PageStoreTest, finds_damage_of_a_table_that_it_forgot_while_it_read_the_page) {
  ASSERT_OK(write(images(kHashed, 3, 1)));
  hooked_->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
    if (kind != DeviceCall::read || offset != kPages + 3 * kPageBytes) return {};
    store_->forget_table(kHashed);
    RVM_TRY(memory_->write(kTables + 100, rvmfs::test::filled(1, 2)));
    return memory_->write(offset, rvmfs::test::filled(1, 2));
  };
  const Result<std::byte> found = first_byte(kHashed, 3);
  EXPECT_ERROR(found, Errc::damaged_page);
  EXPECT_EQ(found.error().position, kTables) << "of the table";
}

TEST_F(PageStoreTest, flushes_a_device_once_that_holds_two_segments) {
  other_ = hooked_;
  int flushes = 0;
  hooked_->hook = [&](DeviceCall kind, uint64_t) -> Result<void> {
    flushes += kind == DeviceCall::flush ? 1 : 0;
    return {};
  };
  std::vector<PageImage> both = images(kHashed, 3, 1);
  both.push_back(image({.segment = 1, .segment_offset = 8 << 20, .length = kPageBytes}, 0, 1));
  ASSERT_OK(write(std::move(both)));
  EXPECT_EQ(flushes, 2) << "of the journal, and of the homes";
}

TEST_F(PageStoreTest, knows_which_pages_need_no_device) {
  EXPECT_FALSE(store_->loads_without_device(kFlat, 5));
  EXPECT_TRUE(store_->loads_without_device(kHashed, 3));
  ASSERT_OK(write(images(kHashed, 3, 1)));
  EXPECT_FALSE(store_->loads_without_device(kHashed, 3));
  EXPECT_TRUE(store_->loads_without_device(kHashed, 4));
  make_store();
  EXPECT_FALSE(store_->loads_without_device(kHashed, 4)) << "its hashes are not in memory";
  store_->format_table(kFlat);  // has none
  store_->forget_table(kFlat);
}

TEST_F(PageStoreTest, finds_damage_of_a_page_and_of_its_table) {
  ASSERT_OK(write(images(kHashed, 3, 1)));
  ASSERT_OK(memory_->write(kPages + 3 * kPageBytes, rvmfs::test::filled(1, 2)));
  EXPECT_ERROR(first_byte(kHashed, 3), Errc::damaged_page);
  ASSERT_OK(memory_->write(kTables + 100, rvmfs::test::filled(1, 2)));
  make_store();
  EXPECT_ERROR(first_byte(kHashed, 3), Errc::damaged_page);
  EXPECT_ERROR(write(images(kHashed, 4, 1)), Errc::damaged_page);  // its table changes
}

TEST_F(PageStoreTest, forgets_tables_when_there_are_very_many_and_reads_them_again) {
  ASSERT_OK(write(images(kHashed, 3, 9)));
  const auto geometry = [](uint64_t table) {
    return Geometry{0, kPages, kPageBytes, true, kTables + (1 + table) * kPageBytes};
  };
  constexpr uint64_t kMany = 2500;
  for (uint64_t table = 0; table < kMany; ++table) {
    HashTablePage page{};
    const auto bytes = std::as_writable_bytes(std::span(&page, 1));
    page.self_hash = nonzero_hash(bytes.subspan(8), geometry(table).hash_table_offset);
    ASSERT_OK(memory_->write(geometry(table).hash_table_offset, bytes));
  }
  for (uint64_t table = 0; table < kMany; ++table) EXPECT_OK(first_byte(geometry(table), 0));
  EXPECT_FALSE(store_->loads_without_device(geometry(0), 0)) << "forgotten";
  EXPECT_OK(first_byte(geometry(0), 0));
  EXPECT_EQ(*first_byte(kHashed, 3), std::byte{9});
}

TEST_F(PageStoreTest, writes_new_pages_home_before_their_hashes_and_without_the_journal) {
  ASSERT_OK(memory_->write(kPages + 20 * kPageBytes, rvmfs::test::filled(kPageBytes, 7)));
  std::vector<std::string> calls;
  hooked_->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
    if (kind == DeviceCall::flush) calls.push_back("flush");
    if (kind == DeviceCall::discard) calls.push_back("discard");
    if (kind != DeviceCall::write) return {};
    calls.push_back(offset >= kPages ? "pages" : offset >= kTables ? "table" : "journal");
    return {};
  };
  std::vector<PageImage> all = new_pages(10, 40, 20);
  ASSERT_OK(store_->write_new(all));
  for (PageImage& old : images(kHashed, 3, 3)) all.push_back(std::move(old));
  ASSERT_OK(store_->write(all, 0, status_));
  const std::vector<std::string> expected = {"pages", "pages", "flush", "journal", "flush",
                                             "table", "pages", "flush", "discard"};
  EXPECT_EQ(calls, expected) << "the page of zeros parts its neighbours";
  hooked_->hook = nullptr;
  make_store();
  EXPECT_EQ(*first_byte(kHashed, 3), std::byte{3});
  EXPECT_EQ(*first_byte(kHashed, 10), std::byte{10});
  EXPECT_EQ(*first_byte(kHashed, 20), std::byte{0});
  EXPECT_EQ(*first_byte(kHashed, 49), std::byte{49});
  EXPECT_EQ(rvmfs::test::read_all(*memory_, kPages + 20 * kPageBytes, 1)[0], std::byte{0});
}

TEST_F(PageStoreTest, writes_neighbours_apart_that_are_apart_in_memory) {
  std::vector<PageImage> all = new_pages(10, 2, 0);
  for (PageImage& other : new_pages(12, 2, 0)) all.push_back(std::move(other));
  int writes = 0;
  hooked_->hook = [&](DeviceCall kind, uint64_t offset) -> Result<void> {
    writes += kind == DeviceCall::write && offset >= kPages ? 1 : 0;
    return {};
  };
  ASSERT_OK(store_->write_new(all));
  EXPECT_EQ(writes, 2);
  ASSERT_OK(store_->write(all, 0, status_));
  hooked_->hook = nullptr;
  EXPECT_EQ(*first_byte(kHashed, 12), std::byte{12});
}

TEST_F(PageStoreTest, knows_new_pages_by_their_hash) {
  ASSERT_OK(write(images(kHashed, 3, 1)));
  EXPECT_FALSE(*store_->is_new(kHashed, 3));
  EXPECT_TRUE(*store_->is_new(kHashed, 4));
  EXPECT_FALSE(*store_->is_new(kFlat, 4)) << "nobody knows";
  make_store();
  device_->fail_range(DeviceCall::read, kTables, kPageBytes);
  EXPECT_ERROR(store_->is_new(kHashed, 4), Errc::io);
  device_->clear();
  ASSERT_OK(memory_->write(kTables + 100, rvmfs::test::filled(1, 2)));
  EXPECT_FALSE(*store_->is_new(kHashed, 4)) << "a damaged table knows nothing";
}

TEST_F(PageStoreTest, tells_that_a_new_page_did_not_get_home) {
  const auto try_all = [&]() -> Result<void> {
    store_->format_table(kHashed);
    std::vector<PageImage> all = new_pages(10, 40, 20);
    RVM_TRY(store_->write_new(all));
    return store_->write(all, 0, status_);
  };
  with_each_lookup_failing(try_all);
  for (const DeviceCall kind : {DeviceCall::write, DeviceCall::flush, DeviceCall::allocate}) {
    make_store();
    device_->fail(kind, 0);
    EXPECT_ERROR(try_all(), Errc::io);
    EXPECT_FALSE(store_->home_incomplete()) << "nothing that may be read was overwritten";
    device_->clear();
    EXPECT_OK(try_all());
  }
}

class PageJournal : public PageStoreTest {
 protected:
  PageJournal() { EXPECT_OK(write(several(1))); }

  // Changes the header, makes its hash right, and replays.
  template <typename Change>
  size_t replayed_with(Change&& change) {
    auto page = rvmfs::test::read_all(*memory_, area_->journal_offset(), kPageBytes);
    auto header = load<JournalHeader>(page);
    change(header);
    header.hash = 0;
    store(std::span(page), header);
    header.hash = hash64(page, header.batch);
    store(std::span(page), header);
    rvmfs::test::write_all(*memory_, area_->journal_offset(), page);
    return replayed();
  }
  size_t replayed() {
    format::StatusBlock before = area_->status();
    before.journal_batch = 0;
    status_ = before;
    EXPECT_OK(replay_journal());
    return replayed_;
  }
};

TEST_F(PageJournal, that_is_whole_and_new_goes_home) {
  EXPECT_EQ(replayed_with([](JournalHeader&) {}), 3u);
  EXPECT_EQ(status_.journal_batch, 1u);
  ASSERT_OK(replay_journal());
  EXPECT_EQ(replayed_, 0u) << "it is home";
}

TEST_F(PageJournal, whose_header_cannot_be_does_not_count) {
  EXPECT_EQ(replayed_with([](JournalHeader& h) { ++h.magic; }), 0u);
  EXPECT_EQ(replayed_with([](JournalHeader& h) { --h.magic, ++h.generation; }), 0u);
  EXPECT_EQ(replayed_with([](JournalHeader& h) { --h.generation, h.count = 0; }), 0u);
  EXPECT_EQ(replayed_with([](JournalHeader& h) { h.count = 1000; }), 0u);
  EXPECT_EQ(replayed_with([](JournalHeader& h) { h.count = 3; }), 3u);
}

TEST_F(PageJournal, of_which_a_bit_changed_does_not_count) {
  for (const uint64_t offset : {uint64_t{40}, 2 * kPageBytes + 100}) {
    std::byte byte{};
    const uint64_t at = area_->journal_offset() + offset;
    ASSERT_OK(memory_->read(at, std::span(&byte, 1)));
    const std::byte bad = byte ^ std::byte{1};
    ASSERT_OK(memory_->write(at, std::span(&bad, 1)));
    EXPECT_EQ(replayed(), 0u);
    ASSERT_OK(memory_->write(at, std::span(&byte, 1)));
    EXPECT_EQ(replayed(), 3u);
  }
}

TEST_F(PageJournal, that_cannot_be_read_or_written_home_is_told) {
  status_.journal_batch = 0;
  for (const uint64_t nth : {0, 1}) {
    device_->fail(DeviceCall::read, nth);
    EXPECT_ERROR(replay_journal(), Errc::io);
  }
  device_->fail(DeviceCall::write, 0);
  EXPECT_ERROR(replay_journal(), Errc::io);
  device_->fail(DeviceCall::flush, 0);
  EXPECT_ERROR(replay_journal(), Errc::io);
  EXPECT_OK(replay_journal());
}

}  // namespace
}  // namespace rvm
