// SPDX-License-Identifier: BSD-2-Clause
//
// Contents: holes and space, copying, appending by many, mappings, direct I/O, locks, and listings
// of directories that change.
#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

constexpr off_t kBlock = 4096;

off_t blocks_of(const std::string& name) { return status_of(name).st_blocks; }

// Runs in a child process; what it returns is its exit status, which must be 0.
void in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

class SpaceOf : public InPlace {};
IN_ALL_PLACES(SpaceOf);

TEST_P(SpaceOf, fallocate_reserves_and_extends_or_keeps_the_size) {
  File file("file", O_CREAT | O_RDWR);
  OK(fallocate(file, 0, 0, 10 * kBlock));
  EXPECT_EQ(status_of("file").st_size, 10 * kBlock);
  EXPECT_GE(blocks_of("file"), 80);
  OK(fallocate(file, FALLOC_FL_KEEP_SIZE, 10 * kBlock, 10 * kBlock));
  EXPECT_EQ(status_of("file").st_size, 10 * kBlock);
  EXPECT_GE(blocks_of("file"), 160);
  std::string content(10 * kBlock, 'x');
  EXPECT_EQ(pread(file, content.data(), content.size(), 0), 10 * kBlock);
  EXPECT_EQ(content, std::string(10 * kBlock, '\0'));
  OK(ftruncate(file, 0));
  OK(fsync(file));
  EXPECT_EQ(blocks_of("file"), 0);
  FAILS(fallocate(file, 0, 0, 0), EINVAL);
  FAILS(fallocate(file, 0, -1, 10), EINVAL);
  File reader("file", O_RDONLY);
  FAILS(fallocate(reader, 0, 0, 10), EBADF);
}

TEST_P(SpaceOf, punching_frees_blocks_and_reads_zeros) {
  const std::string content = bytes(20 * kBlock, 1);
  MUST(make("file", content));
  File file("file", O_RDWR);
  OK(fsync(file));
  const off_t before = blocks_of("file");
  OK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kBlock + 100, 8 * kBlock));
  std::string expected = content;
  std::fill_n(expected.begin() + 2 * kBlock + 100, 8 * kBlock, '\0');
  EXPECT_TRUE(content_of("file") == expected);
  EXPECT_LE(blocks_of("file"), before - 7 * 8);
  OK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100 * kBlock, kBlock));
  EXPECT_EQ(status_of("file").st_size, 20 * kBlock);
  FAILS(fallocate(file, FALLOC_FL_PUNCH_HOLE, 0, kBlock), EOPNOTSUPP);
}

TEST_P(SpaceOf, zeroing_keeps_the_space) {
  MUST(make("file", bytes(10 * kBlock, 2)));
  File file("file", O_RDWR);
  OK(fsync(file));
  const off_t before = blocks_of("file");
  OK(fallocate(file, FALLOC_FL_ZERO_RANGE, 100, 5 * kBlock));
  std::string expected = bytes(10 * kBlock, 2);
  std::fill_n(expected.begin() + 100, 5 * kBlock, '\0');
  EXPECT_TRUE(content_of("file") == expected);
  EXPECT_GE(blocks_of("file"), before);
  OK(fallocate(file, FALLOC_FL_ZERO_RANGE, 9 * kBlock, 3 * kBlock));
  EXPECT_EQ(status_of("file").st_size, 12 * kBlock);
  OK(fallocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 12 * kBlock, 3 * kBlock));
  EXPECT_EQ(status_of("file").st_size, 12 * kBlock);
}

TEST_P(SpaceOf, holes_are_found) {
  File file("file", O_CREAT | O_RDWR);
  OK(pwrite(file, "data", 4, 64 * kBlock));
  OK(pwrite(file, "data", 4, 128 * kBlock));
  OK(ftruncate(file, 200 * kBlock));
  OK(fsync(file));
  EXPECT_EQ(lseek(file, 0, SEEK_DATA), 64 * kBlock);
  EXPECT_EQ(lseek(file, 64 * kBlock, SEEK_DATA), 64 * kBlock);
  EXPECT_EQ(lseek(file, 64 * kBlock, SEEK_HOLE), 65 * kBlock);
  EXPECT_EQ(lseek(file, 0, SEEK_HOLE), 0);
  EXPECT_EQ(lseek(file, 66 * kBlock, SEEK_DATA), 128 * kBlock);
  FAILS(lseek(file, 130 * kBlock, SEEK_DATA), ENXIO);
  EXPECT_EQ(lseek(file, 130 * kBlock, SEEK_HOLE), 130 * kBlock);
  FAILS(lseek(file, 200 * kBlock, SEEK_HOLE), ENXIO);
  FAILS(lseek(file, 300 * kBlock, SEEK_DATA), ENXIO);
  FAILS(lseek(file, -1, SEEK_SET), EINVAL);
  EXPECT_LE(blocks_of("file"), 64);
}

TEST_P(SpaceOf, truncation_frees) {
  MUST(make("file", bytes(1 << 20, 3)));
  sync();
  EXPECT_GE(blocks_of("file"), (1 << 20) / 512);
  OK(truncate("file", 5 * kBlock));
  EXPECT_GE(blocks_of("file"), 5 * kBlock / 512);
  EXPECT_LE(blocks_of("file"), 16 * kBlock / 512);
  OK(truncate("file", 0));
  EXPECT_EQ(blocks_of("file"), 0);
}

class StatvfsOf : public InPlace {};
ON_VOLUME(StatvfsOf);  // others write to the host's filesystem meanwhile

TEST_P(StatvfsOf, a_volume_shows_what_truncation_frees) {
  const auto free_blocks = [] {
    struct statvfs volume {};
    OK(statvfs(".", &volume));
    return volume.f_bfree;
  };
  const auto before = free_blocks();
  MUST(make("file", bytes(8 << 20, 3)));
  sync();
  EXPECT_LE(free_blocks() + 2000, before);
  OK(truncate("file", 0));
  EXPECT_GE(free_blocks() + 100, before);
}

class DataOf : public InPlace {};
IN_ALL_PLACES(DataOf);

TEST_P(DataOf, copy_file_range_copies_and_stops_at_the_end) {
  MUST(make("from", bytes(3 * kBlock + 77, 4)));
  File in("from", O_RDONLY);
  File out("to", O_CREAT | O_RDWR);
  EXPECT_EQ(copy_file_range(in, nullptr, out, nullptr, 1 << 20, 0), 3 * kBlock + 77);
  EXPECT_EQ(copy_file_range(in, nullptr, out, nullptr, 1 << 20, 0), 0);
  EXPECT_TRUE(content_of("to") == content_of("from"));
  off_t from = 10;
  off_t to = 5000;
  EXPECT_EQ(copy_file_range(in, &from, out, &to, 100, 0), 100);
  EXPECT_EQ(from, 110);
  EXPECT_EQ(to, 5100);
  EXPECT_EQ(content_of("to").substr(5000, 100), content_of("from").substr(10, 100));
  off_t a = 0;
  off_t b = 10;
  FAILS(copy_file_range(out, &a, out, &b, 100, 0), EINVAL);
  FAILS(copy_file_range(in, nullptr, in, nullptr, 10, 0), EBADF);
}

TEST_P(DataOf, writes_are_where_they_were_asked_for) {
  File file("file", O_CREAT | O_RDWR);
  const iovec parts[2] = {{const_cast<char*>("hello "), 6}, {const_cast<char*>("world"), 5}};
  EXPECT_EQ(pwritev(file, parts, 2, 3), 11);
  EXPECT_EQ(content_of("file"), std::string(3, '\0') + "hello world");
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 0);
  EXPECT_EQ(write(file, "abc", 3), 3);
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 3);
  EXPECT_EQ(lseek(file, 0, SEEK_END), 14);
  char byte = 0;
  EXPECT_EQ(read(file, &byte, 1), 0);
  FAILS(pwrite(file, "x", 1, -1), EINVAL);
  FAILS(pread(file, &byte, 1, -1), EINVAL);
  FAILS(ftruncate(file, -1), EINVAL);
  File reader("file", O_RDONLY);
  FAILS(write(reader, "x", 1), EBADF);
  FAILS(ftruncate(reader, 1), EINVAL);
  File writer("file", O_WRONLY);
  FAILS(read(writer, &byte, 1), EBADF);
}

TEST_P(DataOf, o_append_writes_at_the_end_whatever_the_offset) {
  MUST(make("file", "12345"));
  File file("file", O_RDWR | O_APPEND);
  EXPECT_EQ(write(file, "a", 1), 1);
  EXPECT_EQ(pwrite(file, "b", 1, 0), 1);  // so it is on Linux
  EXPECT_EQ(content_of("file"), "12345ab");
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 6);
  OK(truncate("file", 2));
  EXPECT_EQ(write(file, "c", 1), 1);
  EXPECT_EQ(content_of("file"), "12c");
}

TEST_P(DataOf, many_appending_processes_lose_nothing_and_mix_nothing) {
  constexpr int kWriters = 6;
  constexpr int kRecords = 300;
  MUST(make("log"));
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      File file("log", O_WRONLY | O_APPEND);
      for (int i = 0; i < kRecords; ++i) {
        char record[64];
        const int length = snprintf(record, sizeof record, "%d:%d:%.*s\n", writer, i,
                                    1 + (writer * 7 + i) % 40, std::string(40, 'x').c_str());
        if (write(file, record, length) != length) _exit(1);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const std::string log = content_of("log");
  std::map<int, int> next;
  size_t lines = 0;
  for (size_t at = 0; at < log.size(); ++lines) {
    const size_t end = log.find('\n', at);
    ASSERT_NE(end, log.npos);
    int writer = -1;
    int number = -1;
    ASSERT_EQ(sscanf(log.c_str() + at, "%d:%d:x", &writer, &number), 2) << log.substr(at, 60);
    EXPECT_EQ(next[writer]++, number);
    at = end + 1;
  }
  EXPECT_EQ(lines, size_t(kWriters) * kRecords);
}

TEST_P(DataOf, mappings_and_files_are_one) {
  MUST(make("file", std::string(3 * kBlock, 'a')));
  File file("file", O_RDWR);
  auto* p =
      static_cast<char*>(mmap(nullptr, 3 * kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  ASSERT_NE(p, MAP_FAILED);
  p[kBlock] = 'm';
  char byte = 0;
  EXPECT_EQ(pread(file, &byte, 1, kBlock), 1);
  EXPECT_EQ(byte, 'm');
  OK(pwrite(file, "w", 1, 5));
  EXPECT_EQ(p[5], 'w');
  in_child([] {
    File other("file", O_RDWR);
    void* q = mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    static_cast<char*>(q)[7] = 'c';
    return 0;
  });
  EXPECT_EQ(p[7], 'c');
  OK(ftruncate(file, kBlock + 1));
  EXPECT_EQ(p[kBlock], 'm');
  OK(ftruncate(file, 3 * kBlock));
  EXPECT_EQ(p[kBlock + 10], '\0');
  EXPECT_EQ(p[2 * kBlock], '\0');
  OK(msync(p, 3 * kBlock, MS_SYNC));
  munmap(p, 3 * kBlock);
  auto* own =
      static_cast<char*>(mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
  own[0] = 'p';
  EXPECT_EQ(content_of("file")[0], 'a');
  munmap(own, kBlock);
}

TEST_P(DataOf, what_a_mapping_wrote_behind_the_end_is_nobodys) {
  if (on_volume()) GTEST_SKIP() << "the kernel's FUSE shows it when the file grows";
  MUST(make("file", "x"));
  File file("file", O_RDWR);
  auto* p = static_cast<char*>(mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  ASSERT_NE(p, MAP_FAILED);
  p[10] = 'z';
  OK(ftruncate(file, kBlock));
  EXPECT_EQ(p[10], '\0');
  munmap(p, kBlock);
}

TEST_P(DataOf, touching_a_mapping_behind_the_end_is_sigbus) {
  MUST(make("file", "x"));
  const pid_t child = fork();
  if (child == 0) {
    File file("file", O_RDWR);
    auto* p = static_cast<volatile char*>(
        mmap(nullptr, 2 * kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    p[kBlock] = 1;
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

TEST_P(DataOf, direct_io_agrees_with_the_cache) {
  void* memory = nullptr;
  ASSERT_EQ(posix_memalign(&memory, kBlock, 4 * kBlock), 0);
  const std::unique_ptr<void, void (*)(void*)> owner(memory, free);
  memset(memory, 'd', 4 * kBlock);
  MUST(make("file", std::string(8 * kBlock, 'c')));
  File cached("file", O_RDWR);
  File direct("file", O_RDWR | O_DIRECT);
  ASSERT_GE(int(direct), 0) << strerror(errno);
  EXPECT_EQ(pwrite(direct, memory, 2 * kBlock, kBlock), 2 * kBlock);
  char byte = 0;
  OK(pread(cached, &byte, 1, kBlock));
  EXPECT_EQ(byte, 'd');
  OK(pwrite(cached, "C", 1, 0));
  EXPECT_EQ(pread(direct, memory, kBlock, 0), kBlock);
  EXPECT_EQ(*static_cast<char*>(memory), 'C');
  memset(memory, 'e', kBlock);
  EXPECT_EQ(pwrite(direct, memory, kBlock, 20 * kBlock), kBlock);
  EXPECT_EQ(status_of("file").st_size, 21 * kBlock);
}

TEST_P(DataOf, locks_are_seen_by_others) {
  MUST(make("file", "x"));
  File file("file", O_RDWR);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_len = 10;
  OK(fcntl(file, F_SETLK, &lock));
  in_child([] {
    File other("file", O_RDWR);
    struct flock mine {};
    mine.l_type = F_WRLCK;
    if (fcntl(other, F_SETLK, &mine) != -1 || (errno != EAGAIN && errno != EACCES)) return 1;
    mine.l_start = 10;
    if (fcntl(other, F_SETLK, &mine) != 0) return 2;
    mine.l_start = 0;
    if (fcntl(other, F_GETLK, &mine) != 0 || mine.l_pid != getppid()) return 3;
    return 0;
  });
  OK(flock(file, LOCK_EX));
  File other("file", O_RDWR);
  FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  OK(flock(file, LOCK_UN));
  OK(flock(other, LOCK_EX | LOCK_NB));
  struct flock ofd {};
  ofd.l_type = F_RDLCK;
  ofd.l_start = 100;
  ofd.l_len = 1;
  OK(fcntl(file, F_OFD_SETLK, &ofd));
  ofd.l_type = F_WRLCK;
  FAILS(fcntl(other, F_OFD_SETLK, &ofd), EAGAIN);
  File leased("leased", O_CREAT | O_RDONLY);
  OK(fcntl(leased, F_SETLEASE, F_RDLCK));
  OK(fcntl(leased, F_SETLEASE, F_UNLCK));
}

TEST_P(DataOf, a_lease_is_broken_by_another_opening) {
  MUST(make("file", "x"));
  File file("file", O_RDWR);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGIO);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const timespec patience{10, 0};
  OK(fcntl(file, F_SETLEASE, F_WRLCK));
  EXPECT_EQ(fcntl(file, F_GETLEASE), F_WRLCK);
  const auto open_it = [] {
    const File other("file", O_RDONLY | O_NONBLOCK);
    return int(other) >= 0 ? 0 : errno;
  };
  in_child([&] { return open_it() == EWOULDBLOCK ? 0 : 1; });
  EXPECT_EQ(sigtimedwait(&signals, nullptr, &patience), SIGIO);
  OK(fcntl(file, F_SETLEASE, F_UNLCK));
  in_child(open_it);
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

TEST_P(DataOf, asynchronous_io_reads_and_writes) {
  constexpr int kRequests = 16;
  aio_context_t context = 0;
  MUST(syscall(SYS_io_setup, kRequests, &context));
  for (const int direct : {0, O_DIRECT}) {
    File file("file", O_CREAT | O_TRUNC | O_RDWR | direct);
    MUST(int{file});
    void* memory = nullptr;
    ASSERT_EQ(posix_memalign(&memory, kBlock, kRequests * kBlock), 0);
    const std::unique_ptr<void, void (*)(void*)> owner(memory, free);
    char* const bytes = static_cast<char*>(memory);
    const auto run = [&](uint16_t operation) {
      iocb blocks[kRequests] = {};
      iocb* list[kRequests];
      for (int i = 0; i < kRequests; ++i) {
        blocks[i].aio_fildes = static_cast<uint32_t>(int{file});
        blocks[i].aio_lio_opcode = operation;
        blocks[i].aio_buf = reinterpret_cast<uint64_t>(bytes + i * kBlock);
        blocks[i].aio_nbytes = kBlock;
        blocks[i].aio_offset = (kRequests - 1 - i) * kBlock;
        list[i] = &blocks[i];
      }
      EXPECT_EQ(syscall(SYS_io_submit, context, kRequests, list), kRequests);
      io_event events[kRequests] = {};
      EXPECT_EQ(syscall(SYS_io_getevents, context, kRequests, kRequests, events, nullptr),
                kRequests);
      for (const io_event& event : events) EXPECT_EQ(event.res, kBlock);
    };
    for (int i = 0; i < kRequests; ++i) memset(bytes + i * kBlock, 'a' + i, kBlock);
    run(IOCB_CMD_PWRITE);
    EXPECT_EQ(status_of("file").st_size, kRequests * kBlock);
    for (int i = 0; i < kRequests; ++i) {
      EXPECT_EQ(content_of("file")[static_cast<size_t>(i * kBlock)], 'a' + kRequests - 1 - i);
    }
    memset(bytes, 0, kRequests * kBlock);
    run(IOCB_CMD_PREAD);
    for (int i = 0; i < kRequests; ++i) EXPECT_EQ(bytes[i * kBlock + 7], 'a' + i);
  }
  OK(syscall(SYS_io_destroy, context));
}

TEST_P(DataOf, a_file_may_be_huge_and_not_more) {
  File file("file", O_CREAT | O_RDWR);
  OK(pwrite(file, "far", 3, 1LL << 43));
  char text[4] = {};
  EXPECT_EQ(pread(file, text, 3, 1LL << 43), 3);
  EXPECT_STREQ(text, "far");
  OK(fsync(file));
  EXPECT_LE(blocks_of("file"), 64);
  if (on_volume()) {  // as documented
    constexpr off_t kLargest = off_t{1} << 56;
    OK(ftruncate(file, kLargest));
    EXPECT_EQ(pwrite(file, "12345678", 8, kLargest - 5), 5);
    FAILS(pwrite(file, "x", 1, kLargest), EFBIG);
    FAILS(ftruncate(file, kLargest + 1), EFBIG);
    FAILS(fallocate(file, FALLOC_FL_KEEP_SIZE, kLargest, kBlock), EFBIG);
    EXPECT_EQ(status_of("file").st_size, kLargest);
  }
  FAILS(ftruncate(file, INT64_MAX), EFBIG);
  EXPECT_EQ(pwrite(file, "x", 1, INT64_MAX - 1), -1);
  EXPECT_EQ(errno, EFBIG);
}

// -- listings

class ListingsOf : public InPlace {};
IN_ALL_PLACES(ListingsOf);

std::multiset<std::string> listed(const std::string& name) {
  std::multiset<std::string> names;
  DIR* const stream = opendir(name.c_str());
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream)) names.insert(entry->d_name);
  closedir(stream);
  return names;
}

TEST_P(ListingsOf, what_exists_throughout_is_listed_exactly_once) {
  constexpr int kKept = 500;
  MUST(mkdir("dir", 0755));
  for (int i = 0; i < kKept; ++i) MUST(make("dir/kept" + std::to_string(i)));
  std::atomic<bool> stop{false};
  const std::string base = folder() + "/dir/";
  std::thread changer([&] {  // as root: the user of a thread is its own
    for (int i = 0; !stop; ++i) {
      const std::string name = base + "passing" + std::to_string(i % 200);
      if (i / 200 % 2 == 0) {
        close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
      } else {
        unlink(name.c_str());
      }
    }
  });
  for (int round = 0; round < 20; ++round) {
    const auto names = listed("dir");
    for (int i = 0; i < kKept; ++i) {
      EXPECT_EQ(names.count("kept" + std::to_string(i)), 1U);
    }
  }
  stop = true;
  changer.join();
}

TEST_P(ListingsOf, telldir_and_seekdir_come_back) {
  MUST(mkdir("dir", 0755));
  for (int i = 0; i < 300; ++i) MUST(make("dir/" + std::to_string(i)));
  DIR* const stream = opendir("dir");
  ASSERT_NE(stream, nullptr);
  std::vector<std::pair<long, std::string>> places;  // and what comes there
  for (;;) {
    const long place = telldir(stream);
    const dirent* const entry = readdir(stream);
    if (entry == nullptr) break;
    places.emplace_back(place, entry->d_name);
  }
  EXPECT_EQ(places.size(), 302U);
  OK(unlink("dir/7"));
  MUST(make("dir/new"));
  for (size_t i = places.size(); i-- > 0;) {
    if (places[i].second == "7" || (i % 10) != 0) continue;
    seekdir(stream, places[i].first);
    const dirent* entry = readdir(stream);
    while (entry != nullptr && std::string(entry->d_name) == "new") entry = readdir(stream);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, places[i].second);
  }
  rewinddir(stream);
  size_t count = 0;
  while (readdir(stream) != nullptr) ++count;
  EXPECT_EQ(count, 302U);
  closedir(stream);
}

TEST_P(ListingsOf, removing_everything_while_listing_removes_everything) {
  MUST(mkdir("dir", 0755));
  for (int i = 0; i < 3000; ++i) MUST(make("dir/" + std::to_string(i)));
  DIR* const stream = opendir("dir");
  ASSERT_NE(stream, nullptr);
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_name[0] != '.') OK(unlinkat(dirfd(stream), entry->d_name, 0));
  }
  closedir(stream);
  EXPECT_EQ(listed("dir").size(), 2U);
  OK(rmdir("dir"));
}

TEST_P(ListingsOf, entries_tell_kind_and_inode) {
  MUST(make("file"));
  MUST(mkdir("dir", 0755));
  OK(symlink("x", "link"));
  OK(mknod("pipe", S_IFIFO | 0644, 0));
  DIR* const stream = opendir(".");
  ASSERT_NE(stream, nullptr);
  std::map<std::string, dirent> found;
  while (const dirent* entry = readdir(stream)) found[entry->d_name] = *entry;
  closedir(stream);
  EXPECT_EQ(found["file"].d_type, DT_REG);
  EXPECT_EQ(found["dir"].d_type, DT_DIR);
  EXPECT_EQ(found["link"].d_type, DT_LNK);
  EXPECT_EQ(found["pipe"].d_type, DT_FIFO);
  EXPECT_EQ(found["."].d_type, DT_DIR);
  for (const char* name : {"file", "dir", "link", "pipe", ".", ".."}) {
    EXPECT_EQ(found[name].d_ino, status_of(name).st_ino) << name;
  }
}

}  // namespace
}  // namespace rvmfs::test
