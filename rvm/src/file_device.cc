// SPDX-License-Identifier: BSD-2-Clause
//
// A Device over a file or block device of the host. Only here and in direct_writer.cc does the
// project make system calls on an image.
//
// - The length is cached: reads and writes compare against it without a system call. It is right as
//   long as nobody else changes the file, which the lock sees to.
// - Growing (by write or allocate) and resizing are ordered by `growth_`: a fallback that grows a
//   file with ftruncate must never cut off what another thread has just appended. Growing writes
//   share it; ftruncate has it alone. Other writes and all reads take no lock.
// - A durable write goes past the host's page cache (direct_writer.h). Where that does not work
// (odd
//   sectors), or is not known to keep the promise, it is a write and an fdatasync.
// - EINTR is never an error. A short transfer is continued. ENOSPC, EDQUOT and EFBIG are no_space.
// - A process that may run into RLIMIT_FSIZE has to ignore SIGXFSZ, as a library cannot: the write
//   then fails with EFBIG.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "direct_writer.h"
#include "retry_on_eintr.h"
#include "rvm/device.h"

namespace rvm {
namespace {

// Linux moves at most this much in one call.
constexpr size_t kTransferBytesMax = 0x7ffff000;
// Of a longer write the host makes as large a piece of its page cache ("folio") as it can. Finding
// memory for a megabyte in one piece takes it several times as long as copying the bytes, and on
// ext4 each later write of a few bytes into such a piece walks a list of all its blocks.
constexpr size_t kWriteBytesMax = 32 << 10;

Error os_error(int os_errno, uint64_t position, const char* what) {
  const bool full = os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG;
  return Error{full ? Errc::no_space : Errc::io, os_errno, position, what};
}

// True if [offset, offset + length) does not wrap, fits off_t and ends at or before `end`.
bool inside(uint64_t offset, uint64_t length, uint64_t end) {
  return length <= end && offset <= end - length;
}

// A file descriptor that closes itself, for the factory's many exits.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// The descriptor that the lock belongs to.
int lock_holder(const Descriptor& fd, const DirectWriter* direct) {
  return direct != nullptr && direct->descriptor() >= 0 ? direct->descriptor() : fd.get();
}

class FileDevice final : public Device {
 public:
  // `direct` is null for reading only.
  FileDevice(Descriptor fd, std::unique_ptr<DirectWriter> direct, std::string name, bool is_block,
             uint64_t bytes)
      : fd_(std::move(fd)),
        direct_(std::move(direct)),
        name_(std::move(name)),
        read_only_(direct_ == nullptr),
        is_block_(is_block),
        size_(bytes) {}

  Result<void> read(uint64_t offset, std::span<std::byte> out) override;
  size_t read_cached(uint64_t offset, std::span<std::byte> out) override;
  Result<void> write(uint64_t offset, std::span<const std::byte> in) override;
  Result<void> flush() override;
  Result<void> write_durable(uint64_t offset, std::span<const std::byte> in) override;
  void forget_cached(uint64_t offset, uint64_t length) override;
  Result<void> discard(uint64_t offset, uint64_t length) override;
  Result<void> allocate(uint64_t offset, uint64_t length) override;
  Result<void> resize(uint64_t bytes) override;
  uint64_t first_hole(uint64_t offset, uint64_t length) const override;
  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  uint64_t host_bytes_free() const override;
  bool can_grow() const override { return !is_block_ && !read_only_; }
  bool read_only() const override { return read_only_; }
  void release_lock() override;
  std::string name() const override { return name_; }

 private:
  Result<void> write_all(uint64_t offset, std::span<const std::byte> in);
  Result<void> grow_to(uint64_t bytes);
  void raise_size(uint64_t bytes);
  uint64_t offset_limit() const { return is_block_ ? size() : uint64_t{INT64_MAX}; }

  const Descriptor fd_;
  const std::unique_ptr<DirectWriter> direct_;
  const std::string name_;
  const bool read_only_;
  const bool is_block_;
  std::atomic<uint64_t> size_;
  std::atomic<bool> can_punch_{true};
  std::atomic<bool> can_allocate_{true};
  std::shared_mutex growth_;
};

Result<void> FileDevice::read(uint64_t offset, std::span<std::byte> out) {
  if (!inside(offset, out.size(), size())) {
    return Error{Errc::out_of_range, 0, offset, "read beyond the end of the image"};
  }
  while (!out.empty()) {
    const size_t want = std::min(out.size(), kTransferBytesMax);
    const ssize_t got = retry_on_eintr(
        [&] { return ::pread(fd_.get(), out.data(), want, static_cast<off_t>(offset)); });
    if (got < 0) return os_error(errno, offset, "cannot read the image");
    if (got == 0) return Error{Errc::io, 0, offset, "the image has become shorter"};
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

size_t FileDevice::read_cached(uint64_t offset, std::span<std::byte> out) {
  if (!inside(offset, out.size(), size())) return 0;
  const iovec part{out.data(), std::min(out.size(), kTransferBytesMax)};
  const ssize_t got = ::preadv2(fd_.get(), &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  return got > 0 ? static_cast<size_t>(got) : 0;  // whatever is wrong, read() will say so
}

void FileDevice::release_lock() {
  struct flock whole {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  // Cannot fail for a descriptor that is open; if it did, the lock would go with the descriptor.
  static_cast<void>(::fcntl(lock_holder(fd_, direct_.get()), F_OFD_SETLK, &whole));
}

Result<void> FileDevice::write(uint64_t offset, std::span<const std::byte> in) {
  if (read_only_) return Error{Errc::read_only, 0, offset, "the image is open for reading only"};
  if (!inside(offset, in.size(), offset_limit())) {
    return Error{Errc::out_of_range, 0, offset, "write beyond the end of the device"};
  }
  if (in.empty()) return {};
  if (offset + in.size() <= size()) return write_all(offset, in);
  std::shared_lock lock(growth_);
  return write_all(offset, in);
}

Result<void> FileDevice::write_all(uint64_t offset, std::span<const std::byte> in) {
  while (!in.empty()) {
    const size_t want = std::min(in.size(), kWriteBytesMax);
    const ssize_t put = retry_on_eintr(
        [&] { return ::pwrite(fd_.get(), in.data(), want, static_cast<off_t>(offset)); });
    if (put < 0) return os_error(errno, offset, "cannot write the image");
    if (put == 0) return Error{Errc::io, 0, offset, "the image takes no bytes"};
    in = in.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
    raise_size(offset);  // also after a part: the file has that length now
  }
  return {};
}

void FileDevice::raise_size(uint64_t bytes) {
  uint64_t known = size_.load(std::memory_order_relaxed);
  while (known < bytes && !size_.compare_exchange_weak(known, bytes, std::memory_order_release)) {
  }
}

Result<void> FileDevice::flush() {
  if (retry_on_eintr([&] { return ::fdatasync(fd_.get()); }) != 0) {
    return Error{Errc::io, errno, 0, "cannot flush the image"};
  }
  return {};
}

Result<void> FileDevice::write_durable(uint64_t offset, std::span<const std::byte> in) {
  if (read_only_) return Error{Errc::read_only, 0, offset, "the image is open for reading only"};
  if (inside(offset, in.size(), size())) {
    if (const auto result = direct_->write(offset, in)) return *result;
  }
  return Device::write_durable(offset, in);
}

void FileDevice::forget_cached(uint64_t offset, uint64_t length) {
  // The host may keep many pages as one, and lets go of those only that lie in the range as a
  // whole.
  constexpr uint64_t kMargin = 4 << 20;
  const uint64_t begin = offset - std::min(offset, kMargin);
  // Advice: nobody can tell whether it was taken.
  (void)::posix_fadvise(fd_.get(), static_cast<off_t>(begin),
                        static_cast<off_t>(offset + length + kMargin - begin), POSIX_FADV_DONTNEED);
}

Result<void> FileDevice::discard(uint64_t offset, uint64_t length) {
  if (read_only_) return Error{Errc::read_only, 0, offset, "the image is open for reading only"};
  const uint64_t end = size();
  if (offset >= end || length == 0) return {};
  length = std::min(length, end - offset);
  if (is_block_) {  // a device refuses what is not whole sectors
    const uint64_t first = (offset + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
    const uint64_t last = (offset + length) / kSectorBytes * kSectorBytes;
    if (first >= last) return {};
    offset = first;
    length = last - first;
  }
  if (!can_punch_.load(std::memory_order_relaxed)) return {};
  const int status = retry_on_eintr([&] {
    return ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(length));
  });
  if (status == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS) {
    can_punch_.store(false, std::memory_order_relaxed);
    return {};
  }
  return os_error(errno, offset, "cannot punch a hole into the image");
}

Result<void> FileDevice::allocate(uint64_t offset, uint64_t length) {
  if (read_only_) return Error{Errc::read_only, 0, offset, "the image is open for reading only"};
  if (!inside(offset, length, offset_limit())) {
    return Error{Errc::out_of_range, 0, offset, "allocation beyond the end of the device"};
  }
  if (is_block_ || length == 0) return {};
  if (can_allocate_.load(std::memory_order_relaxed)) {
    std::shared_lock lock(growth_);
    const int status = retry_on_eintr([&] {
      return ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
    });
    if (status == 0) {
      raise_size(offset + length);
      return {};
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
      return os_error(errno, offset, "cannot reserve space for the image");
    }
    can_allocate_.store(false, std::memory_order_relaxed);
  }
  return grow_to(offset + length);
}

uint64_t FileDevice::first_hole(uint64_t offset, uint64_t length) const {
  const uint64_t end = offset + length;
  if (is_block_ || end > size()) return end;
  const off_t hole = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_HOLE);
  return hole < 0 ? end : std::min(end, static_cast<uint64_t>(hole));
}

Result<void> FileDevice::grow_to(uint64_t bytes) {
  std::unique_lock lock(growth_);
  if (bytes <= size()) return {};
  if (retry_on_eintr([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)); }) != 0) {
    return os_error(errno, bytes, "cannot grow the image");
  }
  raise_size(bytes);
  return {};
}

Result<void> FileDevice::resize(uint64_t bytes) {
  if (read_only_) return Error{Errc::read_only, 0, bytes, "the image is open for reading only"};
  if (is_block_ || bytes > uint64_t{INT64_MAX}) {
    if (bytes == size()) return {};
    return Error{Errc::out_of_range, 0, bytes, "the device cannot have this size"};
  }
  std::unique_lock lock(growth_);
  if (retry_on_eintr([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(bytes)); }) != 0) {
    return os_error(errno, bytes, "cannot resize the image");
  }
  size_.store(bytes, std::memory_order_release);
  return {};
}

uint64_t FileDevice::host_bytes_free() const {
  if (is_block_) return UINT64_MAX;
  struct statvfs host {};
  if (retry_on_eintr([&] { return ::fstatvfs(fd_.get(), &host); }) != 0) return UINT64_MAX;
  return uint64_t{host.f_bavail} * host.f_frsize;
}

// Makes the name of a file that was just created durable. A folder that cannot be opened or does
// not know fsync is not an error; one that fails to write is.
Result<void> sync_parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  std::string parent = ".";
  if (slash != std::string::npos) parent = slash == 0 ? "/" : path.substr(0, slash);
  Descriptor folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return {};
  if (retry_on_eintr([&] { return ::fsync(folder.get()); }) != 0 && errno == EIO) {
    return Error{Errc::io, errno, 0, "cannot make the name of the image durable"};
  }
  return {};
}

Error open_error(int os_errno) {
  switch (os_errno) {
    case ENOENT: return Error{Errc::not_found, os_errno, 0, "cannot open the image"};
    case EEXIST: return Error{Errc::exists, os_errno, 0, "cannot create the image"};
    case EBUSY: return Error{Errc::busy, os_errno, 0, "the device is mounted or in use"};
    default: return os_error(os_errno, 0, "cannot open the image");
  }
}

// Opens, and creates if asked to; `created` tells which one it was.
Result<Descriptor> open_path(const std::string& path, const FileOptions& options, bool* created) {
  // Without O_NONBLOCK the open of a pipe would wait for its other end; it changes nothing for
  // files and block devices.
  const int flags = (options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  *created = false;
  if (options.create) {
    const int fd = retry_on_eintr(
        [&] { return ::open(path.c_str(), flags | O_CREAT | O_EXCL, options.create_mode); });
    if (fd >= 0) {
      *created = true;
      return Descriptor(fd);
    }
    if (errno != EEXIST || options.exclusive) return open_error(errno);
  }
  // For a block device, O_EXCL without O_CREAT asks the kernel that nobody else has claimed it.
  struct stat status {};
  const bool claim = options.lock && options.claim && !options.read_only &&
                     ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
  const int fd = retry_on_eintr([&] { return ::open(path.c_str(), flags | (claim ? O_EXCL : 0)); });
  if (fd < 0) return open_error(errno);
  return Descriptor(fd);
}

Result<void> take_lock(int fd, const FileOptions& options) {
  struct flock lock {};
  lock.l_type = options.read_only ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(options.lock_offset);
  lock.l_len = static_cast<off_t>(options.lock_bytes);
  if (retry_on_eintr([&] { return ::fcntl(fd, F_OFD_SETLK, &lock); }) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return Error{Errc::busy, 0, 0, "the image is locked by another open"};
  }
  return Error{Errc::io, errno, 0, "the host filesystem cannot lock the image (F_OFD_SETLK)"};
}

}  // namespace

Result<std::shared_ptr<Device>> open_file_device(const std::string& path,
                                                 const FileOptions& options) {
  bool created = false;
  RVM_ASSIGN(Descriptor fd, open_path(path, options, &created));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, 0, "cannot examine the image");
  const bool is_block = S_ISBLK(status.st_mode);
  if (!is_block && !S_ISREG(status.st_mode)) {
    return Error{Errc::invalid_argument, 0, 0, "neither an ordinary file nor a block device"};
  }
  std::unique_ptr<DirectWriter> direct;
  if (!options.read_only) direct = std::make_unique<DirectWriter>(fd.get(), is_block);
  if (options.lock) RVM_TRY(take_lock(lock_holder(fd, direct.get()), options));
  if (created) RVM_TRY(sync_parent(path));
  // Measured under the lock: the last holder may have resized the file just before it let go.
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, 0, "cannot examine the image");
  auto bytes = static_cast<uint64_t>(status.st_size);
  if (is_block && ::ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0) {
    return os_error(errno, 0, "cannot find the size of the device");
  }
  return std::shared_ptr<Device>(
      std::make_shared<FileDevice>(std::move(fd), std::move(direct), path, is_block, bytes));
}

}  // namespace rvm
