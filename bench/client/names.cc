// SPDX-License-Identifier: BSD-2-Clause
//
// Operations on names and attributes, one thread: the suites `names`, `small_files`, `tree` and
// `large_directory`. Every phase works on files that the phases before it made.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "bench/client/client.h"

namespace bench {
namespace {

constexpr size_t kSmallBytes = 4096;

void create_all(int folder, const std::vector<Name>& names) {
  for (const Name& name : names) {
    const int fd = openat(folder, name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    check(fd, "create", name);
    close(fd);
  }
}

void stat_all(int folder, const std::vector<Name>& names) {
  struct stat status {};
  for (const Name& name : names) {
    check(fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW), "stat", name);
  }
}

void stat_absent(int folder, const std::vector<Name>& names) {
  struct stat status {};
  for (const Name& name : names) {
    if (fstatat(folder, name.c_str(), &status, 0) == 0 || errno != ENOENT) fail("found " + name);
  }
}

void open_all(int folder, const std::vector<Name>& names) {
  for (const Name& name : names) {
    const int fd = openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC);
    check(fd, "open", name);
    close(fd);
  }
}

void chmod_all(int folder, const std::vector<Name>& names) {
  for (const Name& name : names) check(fchmodat(folder, name.c_str(), 0600, 0), "chmod", name);
}

void rename_all(int folder, const std::vector<Name>& from, const std::vector<Name>& to) {
  for (size_t i = 0; i < from.size(); ++i) {
    check(renameat(folder, from[i].c_str(), folder, to[i].c_str()), "rename", from[i]);
  }
}

void unlink_all(int folder, const std::vector<Name>& names) {
  for (const Name& name : names) check(unlinkat(folder, name.c_str(), 0), "unlink", name);
}

// As `ls -l` does it: read names, and stat each of them in that order.
uint64_t list(const std::string& path) {
  DIR* const listing = opendir(path.c_str());
  if (listing == nullptr) fail("opendir " + path);
  uint64_t entries = 0;
  struct stat status {};
  errno = 0;
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    check(fstatat(dirfd(listing), entry->d_name, &status, AT_SYMLINK_NOFOLLOW), "stat",
          entry->d_name);
    ++entries;
  }
  if (errno != 0) fail("readdir " + path);
  closedir(listing);
  return entries;
}

void expect(uint64_t seen, uint64_t wanted) {
  if (seen != wanted) {
    fail(std::to_string(seen) + " entries seen instead of " + std::to_string(wanted));
  }
}

}  // namespace

void run_names(const Settings& settings, Meter& meter) {
  const uint64_t count = settings.count;
  const std::vector<Name> names = numbered("file-", count);
  const std::vector<Name> renamed = numbered("other-", count);
  const std::vector<Name> absent = numbered("absent-", count);
  {
    const Descriptor folder(settings.folder, O_RDONLY | O_DIRECTORY);
    meter.begin();
    create_all(*folder, names);
    meter.end();
    if (meter.wanted("create")) meter.print("create", count);
    meter.phase("stat_warm", count, [&] { stat_all(*folder, names); });
    if (meter.wanted("stat_cold")) drop_caches();
    meter.phase("stat_cold", count, [&] { stat_all(*folder, names); });
    meter.phase("absent_first", count, [&] { stat_absent(*folder, absent); });
    meter.phase("absent_again", count, [&] { stat_absent(*folder, absent); });
    meter.phase("open_close", count, [&] { open_all(*folder, names); });
    meter.phase("chmod", count, [&] { chmod_all(*folder, names); });
  }
  if (meter.wanted("list_cold")) drop_caches();
  meter.phase("list_cold", count, [&] { expect(list(settings.folder), count); });
  meter.phase("list_warm", count, [&] { expect(list(settings.folder), count); });
  const Descriptor folder(settings.folder, O_RDONLY | O_DIRECTORY);
  const bool rename = meter.wanted("rename");
  meter.phase("rename", count, [&] { rename_all(*folder, names, renamed); });
  meter.begin();
  unlink_all(*folder, rename ? renamed : names);
  meter.end();
  if (meter.wanted("unlink")) meter.print("unlink", count);
}

void run_small_files(const Settings& settings, Meter& meter) {
  const uint64_t count = settings.count;
  const std::vector<Name> names = numbered("file-", count);
  const Bytes bytes = make_bytes(kSmallBytes);
  const Descriptor folder(settings.folder, O_RDONLY | O_DIRECTORY);
  const auto read_all = [&] {
    const Bytes buffer = make_bytes(kSmallBytes);
    for (const Name& name : names) {
      const int fd = openat(*folder, name.c_str(), O_RDONLY | O_CLOEXEC);
      check(fd, "open", name);
      if (read(fd, buffer.get(), kSmallBytes) != kSmallBytes) fail("short read of " + name);
      close(fd);
    }
  };
  meter.begin();
  for (const Name& name : names) {
    const int fd = openat(*folder, name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    check(fd, "create", name);
    if (write(fd, bytes.get(), kSmallBytes) != kSmallBytes) fail("short write of " + name);
    close(fd);
  }
  meter.end();
  if (meter.wanted("small_write")) meter.print("small_write", count);
  meter.phase("small_read_warm", count, read_all);
  if (meter.wanted("small_read_cold")) {
    check(syncfs(*folder), "syncfs", settings.folder);  // dirty inodes are not dropped
    drop_caches();
  }
  meter.phase("small_read_cold", count, read_all);
  meter.begin();
  unlink_all(*folder, names);
  meter.end();
  if (meter.wanted("small_unlink")) meter.print("small_unlink", count);
}

// Three levels of ten, and what is left of `count` in the directories of the third.
void run_tree(const Settings& settings, Meter& meter) {
  const Descriptor folder(settings.folder, O_RDONLY | O_DIRECTORY);
  std::vector<Name> paths;
  const auto digits = numbered("d", 10);
  for (const Name& a : digits) {
    paths.push_back(a);
    for (const Name& b : digits) {
      paths.push_back(a + "/" + b);
      for (const Name& c : digits) paths.push_back(a + "/" + b + "/" + c);
    }
  }
  const size_t inner = paths.size();
  for (uint64_t i = 0; paths.size() < settings.count; ++i) {
    const Name& parent = paths[i % inner];
    if (parent.size() > 2 * digits[0].size() + 2) {
      paths.push_back(parent + "/" + std::to_string(i));
    }
  }
  meter.begin();
  for (const Name& path : paths) check(mkdirat(*folder, path.c_str(), 0755), "mkdir", path);
  meter.end();
  if (meter.wanted("mkdir")) meter.print("mkdir", paths.size());
  // Deepest first.
  for (size_t i = paths.size(); i > inner; --i) {
    check(unlinkat(*folder, paths[i - 1].c_str(), AT_REMOVEDIR), "rmdir", paths[i - 1]);
  }
  for (size_t i = inner; i > 0; --i) {
    check(unlinkat(*folder, paths[i - 1].c_str(), AT_REMOVEDIR), "rmdir", paths[i - 1]);
  }
}

// Does it get slower as it grows? The first tenth of the files against the last.
void run_large_directory(const Settings& settings, Meter& meter) {
  const uint64_t tenth = settings.count / 10;
  const Descriptor folder(settings.folder, O_RDONLY | O_DIRECTORY);
  const std::vector<Name> names = numbered("file-", tenth * 10);
  for (uint64_t part = 0; part < 10; ++part) {
    const std::vector<Name> some(names.begin() + static_cast<ptrdiff_t>(part * tenth),
                                 names.begin() + static_cast<ptrdiff_t>((part + 1) * tenth));
    meter.begin();
    create_all(*folder, some);
    meter.end();
    if (part == 0) meter.print("first_tenth", tenth);
    if (part == 9) meter.print("last_tenth", tenth);
  }
  if (meter.wanted("large_list_cold")) drop_caches();
  meter.phase("large_list_cold", names.size(),
              [&] { expect(list(settings.folder), names.size()); });
  meter.begin();
  unlink_all(*folder, names);
  meter.end();
  if (meter.wanted("large_unlink")) meter.print("large_unlink", names.size());
}

// Several threads, in directories of their own or in one that they share.
void run_threads(const Settings& settings, Meter& meter) {
  const int threads = settings.threads;
  const uint64_t each = settings.count / static_cast<uint64_t>(threads);
  const uint64_t all = each * static_cast<uint64_t>(threads);
  std::vector<std::string> paths;
  std::vector<std::unique_ptr<Descriptor>> folders;
  std::vector<std::vector<Name>> names, renamed;
  for (int i = 0; i < threads; ++i) {
    const std::string own = settings.folder + "/" + std::to_string(i);
    paths.push_back(settings.shared ? settings.folder : own);
    if (!settings.shared) check(mkdir(own.c_str(), 0755), "mkdir", own);
    folders.push_back(std::make_unique<Descriptor>(paths.back(), O_RDONLY | O_DIRECTORY));
    names.push_back(numbered(("file-" + std::to_string(i) + "-").c_str(), each));
    renamed.push_back(numbered(("other-" + std::to_string(i) + "-").c_str(), each));
  }
  const std::string suffix = settings.shared ? "_shared" : "_own";
  const auto run = [&](const std::string& name, const std::function<void(int)>& work) {
    meter.begin();
    in_threads(threads, work);
    meter.end();
    if (meter.wanted(name + suffix)) meter.print(name + suffix, all);
  };
  const auto index = [](int i) { return static_cast<size_t>(i); };
  run("create", [&](int i) { create_all(**folders[index(i)], names[index(i)]); });
  if (meter.wanted("stat_cold" + suffix)) {
    drop_caches();
    run("stat_cold", [&](int i) { stat_all(**folders[index(i)], names[index(i)]); });
  }
  run("rename",
      [&](int i) { rename_all(**folders[index(i)], names[index(i)], renamed[index(i)]); });
  run("unlink", [&](int i) { unlink_all(**folders[index(i)], renamed[index(i)]); });
  for (const std::string& path : paths) {
    if (!settings.shared) check(rmdir(path.c_str()), "rmdir", path);
  }
}

}  // namespace bench
