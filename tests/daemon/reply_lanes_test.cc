// SPDX-License-Identifier: BSD-2-Clause
//
// Lanes of replies: each reply arrives whole and once (as the kernel counts: a second copy of a
// reply is refused there, and dropped here), also where others want the CPU, and at the end.
#include "fs/daemon/reply_lanes.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace rvmfs {
namespace {

using namespace std::chrono_literals;

// The kernel's side: a socket that keeps replies apart.
class Replies : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(watcher_.start());
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()), 0);
    const timeval patience{20, 0};
    ASSERT_EQ(setsockopt(ends_[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    while (!CPU_ISSET(cpu_, &allowed)) ++cpu_;
  }
  void TearDown() override {
    stop();
    for (const int end : ends_) close(end);
  }

  void stop() {
    watcher_.stop();
    lanes_.stop();
  }

  bool send(uint64_t unique, size_t body_bytes) {
    fuse_out_header header{};
    std::vector<char> body(body_bytes, static_cast<char>('a' + unique % 26));
    header.len = static_cast<uint32_t>(sizeof header + body.size());
    header.unique = unique;
    const iovec parts[2] = {{&header, sizeof header}, {body.data(), body.size()}};
    return lanes_.send(cpu_, ends_[0], parts);
  }

  // A lane takes some time to begin; until then the caller sends by itself.
  void send_once_it_is_there(uint64_t unique) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!send(unique, 10)) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "no lane ever began";
      std::this_thread::sleep_for(1ms);
    }
  }

  // The next reply that is not a copy of one before; 0: none came in time.
  uint64_t receive() {
    std::vector<char> packet(ReplyLanes::kReplyBytesMax + 1);
    while (true) {
      const ssize_t bytes = recv(ends_[1], packet.data(), packet.size(), 0);
      if (bytes < static_cast<ssize_t>(sizeof(fuse_out_header))) return 0;
      fuse_out_header header;
      memcpy(&header, packet.data(), sizeof header);
      EXPECT_EQ(header.len, bytes);
      for (ssize_t i = sizeof header; i < bytes; ++i) {
        EXPECT_EQ(packet[static_cast<size_t>(i)], static_cast<char>('a' + header.unique % 26));
      }
      if (seen_.insert(header.unique).second) return header.unique;
    }
  }

  std::array<int, 2> ends_{-1, -1};
  int cpu_ = 0;
  Watcher watcher_;
  ReplyLanes lanes_{watcher_};
  std::set<uint64_t> seen_;
};

// Something that wants a CPU for itself.
class Hog {
 public:
  explicit Hog(int cpu)
      : thread_([this, cpu] {
          cpu_set_t set;
          CPU_ZERO(&set);
          CPU_SET(cpu, &set);
          sched_setaffinity(0, sizeof set, &set);
          while (!stop_) {
          }
        }) {}
  ~Hog() {
    stop_ = true;
    thread_.join();
  }
  Hog(const Hog&) = delete;
  Hog& operator=(const Hog&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(Replies, ArriveWholeAndOnce) {
  send_once_it_is_there(1);
  ASSERT_EQ(receive(), 1u);
  // On a busy machine lanes are closed most of the time.
  const auto end = std::chrono::steady_clock::now() + 30s;
  for (uint64_t unique = 2; unique < 1000 && std::chrono::steady_clock::now() < end; ++unique) {
    const size_t bytes = unique * 7 % (ReplyLanes::kReplyBytesMax - sizeof(fuse_out_header));
    if (send(unique, bytes)) {
      ASSERT_EQ(receive(), unique);
    } else {
      std::this_thread::sleep_for(30ms);
    }
  }
  EXPECT_GT(seen_.size(), 10u);
}

TEST_F(Replies, OfManyWorkersAtOnceAllArrive) {
  send_once_it_is_there(1);
  ASSERT_EQ(receive(), 1u);
  std::atomic<uint64_t> sent{1};
  std::vector<std::thread> workers;
  for (uint64_t worker = 1; worker <= 4; ++worker) {
    workers.emplace_back([&, worker] {
      for (uint64_t i = 0; i < 500; ++i) {
        if (send(worker * 1000 + i, 100)) ++sent;
      }
    });
  }
  std::thread kernel([&] {
    while (receive() != 9999) {
    }
  });
  for (std::thread& worker : workers) worker.join();
  stop();  // everything has been sent then
  const fuse_out_header last{sizeof last, 0, 9999};
  ASSERT_EQ(write(ends_[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
  kernel.join();
  EXPECT_EQ(seen_.size(), sent + 1);
}

TEST_F(Replies, ArriveSoonWhereOthersWantTheCpu) {
  send_once_it_is_there(1);
  ASSERT_EQ(receive(), 1u);
  const Hog hog(cpu_);
  int handed_over = 0;
  for (uint64_t unique = 2; unique < 40; ++unique) {
    const auto begin = std::chrono::steady_clock::now();
    if (send(unique, 10)) {
      ++handed_over;
      ASSERT_EQ(receive(), unique);
      EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    }
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_GT(handed_over, 0);
  // The lane alone would have waited for the hog, most of the times: somebody else sent them, and
  // the lanes were closed then.
  EXPECT_GT(lanes_.rescues(), 0u);
  EXPECT_LT(handed_over, 38);
}

TEST_F(Replies, TooLargeForALaneAreLeftToTheCaller) {
  send_once_it_is_there(1);
  ASSERT_EQ(receive(), 1u);
  EXPECT_FALSE(send(2, ReplyLanes::kReplyBytesMax));
}

TEST_F(Replies, OnACpuThatDoesNotExistAreLeftToTheCaller) {
  cpu_ = -1;
  EXPECT_FALSE(send(1, 10));
  cpu_ = 100'000;
  EXPECT_FALSE(send(1, 10));
}

TEST_F(Replies, StoppingTwiceIsFineAndAfterwardsNoneIsTaken) {
  send_once_it_is_there(1);
  stop();
  EXPECT_EQ(receive(), 1u);
  EXPECT_FALSE(send(2, 10));
  stop();
}

}  // namespace
}  // namespace rvmfs
