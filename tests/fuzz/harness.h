// SPDX-License-Identifier: BSD-2-Clause
//
// Fuzzing harnesses: what a string of bytes is taken for, what is done with it, and what must hold.
// They know nothing of libFuzzer: driver/ joins them to it, and replay_test.cc runs what was found
// without it.
//
//   superblock  the two superblocks of a volume
//   log         the units of a log, recovered by a mount and read by fsck
//   image       edits of a whole image, which is then mounted, read and changed
//   fsck        edits of a whole image, which is then checked, repaired and checked again
//   operations  operations of the filesystem, compared with the reference model
//
// Hashes are made right again before an input is used (unless it says otherwise): what a fuzzer
// changes would seldom get past them.
//
// Thread rules: as an int.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace rvmfs::test {

using Input = std::span<const uint8_t>;
using ByteString = std::vector<uint8_t>;
// Changes bytes in place, like LLVMFuzzerMutate: the new size, at most `max`.
using ByteMutator = size_t (*)(uint8_t* data, size_t size, size_t max);

class Harness {
 public:
  virtual ~Harness() = default;
  virtual const char* name() const = 0;
  // Empty, or what is wrong.
  virtual std::string run(Input input) const = 0;
  // A change that keeps the shape of the input.
  virtual size_t mutate(uint8_t* data, size_t size, size_t max, std::mt19937_64& random,
                        ByteMutator bytes) const;
  // Where fuzzing begins.
  virtual std::vector<ByteString> seeds() const = 0;
  virtual size_t bytes_max() const { return 4096; }
};

const std::vector<std::unique_ptr<Harness>>& harnesses();
const Harness* find_harness(const std::string& name);  // nullptr: there is none

// Each makes one of them.
std::unique_ptr<Harness> superblock_harness();
std::unique_ptr<Harness> log_harness();
std::unique_ptr<Harness> image_harness();
std::unique_ptr<Harness> fsck_harness();
std::unique_ptr<Harness> operations_harness();

}  // namespace rvmfs::test
