// SPDX-License-Identifier: BSD-2-Clause
//
// See recording_mount.h.
#include "tests/mount/recording_mount.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace rvmfs::test {
namespace {

constexpr fuse_ino_t kFile = 2;
constexpr size_t kWriteBytesMax = 1 << 20;

RecordingDevice& device_of(fuse_req_t request) {
  return *static_cast<RecordingDevice*>(fuse_req_userdata(request));
}

void reply(fuse_req_t request, const rvm::Result<void>& result) {
  fuse_reply_err(request, result ? 0 : EIO);
}

struct stat attributes(const RecordingDevice& device, fuse_ino_t inode) {
  struct stat status {};
  status.st_ino = inode;
  status.st_mode = inode == kFile ? S_IFREG | 0600 : S_IFDIR | 0700;
  status.st_nlink = 1;
  status.st_size = inode == kFile ? static_cast<off_t>(device.size()) : 0;
  return status;
}

void lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  if (std::string_view(name) != "image") {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = attributes(device_of(request), kFile);
  fuse_reply_entry(request, &entry);
}

void get_attributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat status = attributes(device_of(request), inode);
  fuse_reply_attr(request, &status, 0);
}

void set_attributes(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which,
                    fuse_file_info* info) {
  if ((which & FUSE_SET_ATTR_SIZE) != 0) {
    if (!device_of(request).resize(static_cast<uint64_t>(wanted->st_size))) {
      fuse_reply_err(request, EIO);
      return;
    }
  }
  get_attributes(request, inode, info);
}

void open_file(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  info->direct_io = 1;
  fuse_reply_open(request, info);
}

void read_file(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  const auto at = static_cast<uint64_t>(offset);
  RecordingDevice& device = device_of(request);
  const uint64_t end = device.size();
  std::vector<std::byte> bytes(at < end ? std::min<uint64_t>(size, end - at) : 0);
  if (!device.read(at, bytes)) {
    fuse_reply_err(request, EIO);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// The kernel sends no fsync behind a direct write that shall be durable: the write says it itself.
void write_file(fuse_req_t request, fuse_ino_t, const char* bytes, size_t size, off_t offset,
                fuse_file_info* info) {
  const std::span in(reinterpret_cast<const std::byte*>(bytes), size);
  const auto at = static_cast<uint64_t>(offset);
  RecordingDevice& device = device_of(request);
  const bool durable = (info->flags & O_DSYNC) != 0;
  const rvm::Result<void> written = durable ? device.write_durable(at, in) : device.write(at, in);
  if (!written) {
    fuse_reply_err(request, EIO);
    return;
  }
  fuse_reply_write(request, size);
}

void sync_file(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  reply(request, device_of(request).flush());
}

void allocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
              fuse_file_info*) {
  const auto at = static_cast<uint64_t>(offset);
  const auto bytes = static_cast<uint64_t>(length);
  RecordingDevice& device = device_of(request);
  switch (mode) {
    case 0: return reply(request, device.allocate(at, bytes));
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      return reply(request, device.discard(at, bytes));
    default: fuse_reply_err(request, EOPNOTSUPP);
  }
}

void stat_host(fuse_req_t request, fuse_ino_t) {
  struct statvfs host {};
  host.f_bsize = host.f_frsize = 4096;
  host.f_blocks = host.f_bfree = host.f_bavail = 1 << 20;
  host.f_namemax = 255;
  fuse_reply_statfs(request, &host);
}

void init(void*, fuse_conn_info* connection) { connection->max_write = kWriteBytesMax; }

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops table{};
  table.init = init;
  table.lookup = lookup;
  table.getattr = get_attributes;
  table.setattr = set_attributes;
  table.open = open_file;
  table.read = read_file;
  table.write = write_file;
  table.fsync = sync_file;
  table.fallocate = allocate;
  table.statfs = stat_host;
  return table;
}

}  // namespace

RecordingMount::RecordingMount() : device_(std::make_unique<RecordingDevice>()) {}

RecordingMount::~RecordingMount() { stop(); }

std::string RecordingMount::start(const std::string& folder) {
  folder_ = folder;
  char name[] = "recording";
  char* arguments[] = {name, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, arguments);
  const fuse_lowlevel_ops table = operations();
  session_ = fuse_session_new(&args, &table, sizeof table, device_.get());
  if (session_ == nullptr) return "no FUSE session";
  if (fuse_session_mount(session_, folder.c_str()) != 0) {
    fuse_session_destroy(session_);
    session_ = nullptr;
    return "cannot mount at " + folder;
  }
  server_ = std::thread([this] { fuse_session_loop(session_); });
  return "";
}

void RecordingMount::stop() {
  if (session_ == nullptr) return;
  fuse_session_exit(session_);
  fuse_session_unmount(session_);  // ends the read that the thread waits in
  server_.join();
  fuse_session_destroy(session_);
  session_ = nullptr;
}

}  // namespace rvmfs::test
