// SPDX-License-Identifier: BSD-2-Clause
//
// Random system calls on a volume and on the host's filesystem give the same answers and the same
// trees; random changes of one file, by every way there is, give the file that memory has.
#include <sys/mman.h>

#include <algorithm>
#include <fstream>

#include "tests/conformance/place.h"
#include "tests/conformance/random_operations.h"
#include "tests/support/environment.h"
#include "tests/support/tier.h"

namespace rvmfs::test {
namespace {

class RandomCalls : public InPlace {};
INSTANTIATE_TEST_SUITE_P(In, RandomCalls,
                         ::testing::Values(Place::volume_as_root, Place::volume_as_user), name_of);

constexpr uint64_t kOperationsOfSeed = 4000;

TEST_P(RandomCalls, are_answered_as_by_the_hosts_filesystem) {
  Total total(as_root() ? "random_calls_root" : "random_calls_user");
  const uint64_t only = number_from_environment("RVMFS_RANDOM_CALLS_SEED", 0);
  const uint64_t seeds = only != 0 ? 1 : share_of_slice(by_tier<uint64_t>(5, 500, 5000));
  const uint64_t first = only != 0 ? only : 1 + first_of_slice(1'000'000);
  for (uint64_t seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const std::string name = "/" + std::to_string(seed);
    OK(mkdir((folder() + name).c_str(), 0755));
    OK(mkdir((twin() + name).c_str(), 0755));
    Performer here(folder() + name);
    Performer there(twin() + name);
    for (uint64_t i = 0; i < kOperationsOfSeed; ++i) {
      const RandomOperation operation = random_operation(random);
      const std::string wanted = there.perform(operation);
      ASSERT_EQ(here.perform(operation), wanted) << "operation " << i << ": " << operation.text()
                                                 << "\nreproduce: RVMFS_RANDOM_CALLS_SEED=" << seed;
      total.add("operations");
      total.add("successes", wanted[0] != 'E' ? 1 : 0);
    }
    here.close_all();
    there.close_all();
    as_superuser([&] {
      EXPECT_EQ(describe_tree(folder() + name), describe_tree(twin() + name))
          << "reproduce: RVMFS_RANDOM_CALLS_SEED=" << seed;
    });
    total.progress(seed - first, seeds);
  }
  if (HasFailure()) total.fail();
}

// -- one file

class OneFile : public InPlace {};
INSTANTIATE_TEST_SUITE_P(In, OneFile, ::testing::Values(Place::volume_as_root, Place::host_as_root),
                         name_of);

constexpr size_t kFileBytesMax = 256 * 1024;
constexpr size_t kPage = 4096;

// The file, and what it should be.
class Exercise {
 public:
  explicit Exercise(uint64_t seed) : random_(seed) { reopen(); }
  ~Exercise() { close(fd_); }
  Exercise(const Exercise&) = delete;
  Exercise& operator=(const Exercise&) = delete;

  // One random change or look; what went wrong, or an empty string.
  std::string step() {
    const uint64_t kind = random_() % 16;
    const size_t at = random_() % kFileBytesMax;
    const size_t length =
        std::min(random_() % (random_() % 4 == 0 ? 65536 : 5000) + 1, kFileBytesMax - at);
    text_ = std::to_string(kind) + " at " + std::to_string(at) + " length " +
            std::to_string(length) + " of " + std::to_string(wanted_.size());
    switch (kind) {
      case 0:
      case 1:
      case 2: return write_at(at, length);
      case 3:
      case 4:
      case 5: return read_at(at, length);
      case 6:
      case 7: return write_mapped(at, length);
      case 8:
      case 9: return read_mapped(at, length);
      case 10: return truncate_to(random_() % 3 == 0 ? 0 : at);
      case 11: return punch(at, length);
      case 12: return zero(at, length);
      case 13: return extend(at, length);
      case 14: return copy(at, length);
      default: return settle();
    }
  }
  const std::string& text() const { return text_; }

 private:
  using Bytes = std::string;

  void reopen() {
    if (fd_ >= 0) close(fd_);
    fd_ = open("exercised", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  }
  static std::string problem(const char* what) {
    return std::string(what) + ": " + strerror(errno);
  }
  void grow(size_t size) {
    if (wanted_.size() < size) wanted_.resize(size, '\0');
  }

  std::string write_at(size_t at, size_t length) {
    const Bytes piece = bytes(length, static_cast<unsigned>(random_()));
    if (pwrite(fd_, piece.data(), length, static_cast<off_t>(at)) != ssize_t(length)) {
      return problem("pwrite");
    }
    grow(at + length);
    wanted_.replace(at, length, piece);
    return check_size();
  }
  std::string read_at(size_t at, size_t length) {
    Bytes found(length, '?');
    const ssize_t got = pread(fd_, found.data(), length, static_cast<off_t>(at));
    if (got < 0) return problem("pread");
    found.resize(static_cast<size_t>(got));
    return compare(found, at, length, "read");
  }
  std::string compare(const Bytes& found, size_t at, size_t length, const char* how) const {
    const Bytes expected = at < wanted_.size() ? wanted_.substr(at, length) : Bytes();
    if (found == expected) return {};
    if (found.size() != expected.size()) {
      return std::string(how) + ": " + std::to_string(found.size()) + " bytes instead of " +
             std::to_string(expected.size());
    }
    const auto place = std::mismatch(found.begin(), found.end(), expected.begin()).first;
    return std::string(how) + ": wrong at " + std::to_string(at + (place - found.begin()));
  }
  // Within the file only: behind its end, FUSE differs from other filesystems.
  template <typename Use>
  std::string mapped(size_t at, size_t& length, const Use& use) {
    if (at >= wanted_.size()) return {};
    length = std::min(length, wanted_.size() - at);
    const size_t begin = at / kPage * kPage;
    const size_t room = at + length - begin;
    void* const memory =
        mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(begin));
    if (memory == MAP_FAILED) return problem("mmap");
    const std::string result = use(static_cast<char*>(memory) + (at - begin));
    const bool sync = random_() % 4 == 0;
    if (sync && msync(memory, room, MS_SYNC) != 0) return problem("msync");
    munmap(memory, room);
    return result;
  }
  std::string write_mapped(size_t at, size_t length) {
    return mapped(at, length, [&](char* memory) {
      const Bytes piece = bytes(length, static_cast<unsigned>(random_()));
      std::copy(piece.begin(), piece.end(), memory);
      wanted_.replace(at, length, piece);
      return std::string();
    });
  }
  std::string read_mapped(size_t at, size_t length) {
    return mapped(at, length, [&](const char* memory) {
      return compare(Bytes(memory, length), at, length, "mapped");
    });
  }
  std::string truncate_to(size_t size) {
    if (ftruncate(fd_, static_cast<off_t>(size)) != 0) return problem("ftruncate");
    wanted_.resize(size, '\0');
    return check_size();
  }
  std::string allocate(int mode, size_t at, size_t length) {
    const int result = fallocate(fd_, mode, static_cast<off_t>(at), static_cast<off_t>(length));
    return result == 0 ? check_size() : problem("fallocate");
  }
  void clear(size_t at, size_t length) {
    if (at >= wanted_.size()) return;
    length = std::min(length, wanted_.size() - at);
    std::fill_n(wanted_.begin() + static_cast<ssize_t>(at), length, '\0');
  }
  std::string punch(size_t at, size_t length) {
    clear(at, length);
    return allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
  }
  std::string zero(size_t at, size_t length) {
    const bool keep = random_() % 2 == 0;
    clear(at, length);
    if (!keep) grow(at + length);
    return allocate(FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), at, length);
  }
  std::string extend(size_t at, size_t length) {
    const bool keep = random_() % 2 == 0;
    if (!keep) grow(at + length);
    return allocate(keep ? FALLOC_FL_KEEP_SIZE : 0, at, length);
  }
  std::string copy(size_t at, size_t length) {
    if (at >= wanted_.size()) return {};
    length = std::min(length, wanted_.size() - at);
    const size_t to = random_() % (kFileBytesMax - length + 1);
    if (to < at + length && at < to + length) return {};
    off_t from_place = static_cast<off_t>(at);
    off_t to_place = static_cast<off_t>(to);
    const ssize_t done = copy_file_range(fd_, &from_place, fd_, &to_place, length, 0);
    if (done != ssize_t(length)) return problem("copy_file_range");
    const Bytes piece = wanted_.substr(at, length);
    grow(to + length);
    wanted_.replace(to, length, piece);
    return check_size();
  }
  std::string settle() {
    switch (random_() % 4) {
      case 0: return fsync(fd_) == 0 ? "" : problem("fsync");
      case 1: return fdatasync(fd_) == 0 ? "" : problem("fdatasync");
      case 2: reopen(); return fd_ >= 0 ? "" : problem("open");
      default: break;
    }
    if (fsync(fd_) != 0) return problem("fsync");
    posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);  // what follows is read from the volume
    return read_at(0, kFileBytesMax);
  }
  std::string check_size() const {
    struct stat status {};
    if (fstat(fd_, &status) != 0) return problem("fstat");
    return size_t(status.st_size) == wanted_.size()
               ? ""
               : "size " + std::to_string(status.st_size) + " instead of " +
                     std::to_string(wanted_.size());
  }

  std::mt19937_64 random_;
  int fd_ = -1;
  Bytes wanted_;
  std::string text_;
};

TEST_P(OneFile, that_is_changed_in_every_way_is_what_memory_has) {
  Total total(on_volume() ? "one_file" : "one_file_host");
  const uint64_t only = number_from_environment("RVMFS_ONE_FILE_SEED", 0);
  const uint64_t steps = share_of_slice(by_tier<uint64_t>(20'000, 1'000'000, 20'000'000));
  const uint64_t seed = only != 0 ? only : 1 + first_of_slice(1'000'000);
  Exercise exercise(seed);
  for (uint64_t i = 0; i < steps; ++i) {
    const std::string wrong = exercise.step();
    if (!wrong.empty()) {
      total.fail();
      FAIL() << "step " << i << " (" << exercise.text() << "): " << wrong
             << "\nreproduce: RVMFS_ONE_FILE_SEED=" << seed;
    }
    total.add("steps");
    total.progress(i, steps);
  }
}

}  // namespace
}  // namespace rvmfs::test
