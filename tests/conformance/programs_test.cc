// SPDX-License-Identifier: BSD-2-Clause
//
// What programs do with files besides reading and writing: run them, talk through them, and meet
// the errors that are not a matter of names or permissions.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "tests/conformance/place.h"

namespace rvmfs::test {
namespace {

class ProgramsOf : public InPlace {
 protected:
  // A program of the host in the folder, under that name.
  static void copy_program(const std::string& from, const std::string& name) {
    ASSERT_EQ(make(name, content_of(from)), 0);
    MUST(chmod(name.c_str(), 0755));
  }
  // In a child; its exit status.
  static int result_of(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
};
IN_ALL_PLACES(ProgramsOf);

TEST_P(ProgramsOf, a_folder_run_and_cannot_be_written_meanwhile) {
  ASSERT_NO_FATAL_FAILURE(copy_program("/bin/sleep", "program"));
  int begun[2];
  MUST(pipe2(begun, O_CLOEXEC));
  const pid_t child = fork();
  if (child == 0) {
    execl("./program", "program", "60", nullptr);
    _exit(127);
  }
  close(begun[1]);
  char byte = 0;
  EXPECT_EQ(read(begun[0], &byte, 1), 0);  // closed by the execve
  close(begun[0]);
  FAILS(open("program", O_WRONLY), ETXTBSY);
  FAILS(truncate("program", 0), ETXTBSY);
  OK(rename("program", "moved"));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const File writer("moved", O_WRONLY);
  MUST(int{writer});
  const auto run_it = [] {
    execl("./moved", "moved", "0", nullptr);
    return errno;
  };
  EXPECT_EQ(result_of(run_it), ETXTBSY);
}

TEST_P(ProgramsOf, a_folder_are_refused_without_the_right_to_run) {
  ASSERT_NO_FATAL_FAILURE(copy_program("/bin/true", "program"));
  const auto run_it = [] {
    execl("./program", "program", nullptr);
    return errno;
  };
  EXPECT_EQ(result_of(run_it), 0);
  OK(chmod("program", 0644));
  EXPECT_EQ(result_of(run_it), EACCES);
  MUST(make("script", "#!/bin/sh\nexit 7\n", 0755));
  EXPECT_EQ(result_of([] {
              execl("./script", "script", nullptr);
              return errno;
            }),
            7);
}

TEST_P(ProgramsOf, both_ends_of_a_pipe_or_socket_meet) {
  OK(mkfifo("pipe", 0644));
  FAILS(open("pipe", O_WRONLY | O_NONBLOCK), ENXIO);
  const File reader("pipe", O_RDONLY | O_NONBLOCK);
  const File writer("pipe", O_WRONLY);
  EXPECT_EQ(write(writer, "hello", 5), 5);
  char text[8] = {};
  EXPECT_EQ(read(reader, text, sizeof text), 5);
  EXPECT_STREQ(text, "hello");
  FAILS(lseek(reader, 0, SEEK_SET), ESPIPE);

  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, "socket", 7);
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  const File listener(socket(AF_UNIX, SOCK_STREAM, 0));
  OK(bind(listener, address, sizeof name));
  OK(listen(listener, 1));
  EXPECT_TRUE(S_ISSOCK(status_of("socket").st_mode));
  FAILS(open("socket", O_RDWR), ENXIO);
  const File client(socket(AF_UNIX, SOCK_STREAM, 0));
  OK(connect(client, address, sizeof name));
  FAILS(bind(File(socket(AF_UNIX, SOCK_STREAM, 0)), address, sizeof name), EADDRINUSE);
  OK(unlink("socket"));
  FAILS(connect(File(socket(AF_UNIX, SOCK_STREAM, 0)), address, sizeof name), ENOENT);
}

TEST_P(ProgramsOf, a_watched_folder_are_told_what_happens) {
  const File watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  MUST(int{watch});
  OK(inotify_add_watch(watch, ".", IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_DELETE));
  MUST(make("file", "x"));
  OK(rename("file", "other"));
  OK(unlink("other"));
  alignas(inotify_event) char buffer[4096];
  std::string seen;
  const ssize_t bytes = read(watch, buffer, sizeof buffer);
  for (ssize_t at = 0; at < bytes;) {
    const auto* const event = reinterpret_cast<const inotify_event*>(buffer + at);
    seen += (event->mask & IN_CREATE) != 0     ? "create "
            : (event->mask & IN_MODIFY) != 0   ? "modify "
            : (event->mask & IN_MOVED_TO) != 0 ? "move "
                                               : "delete ";
    at += static_cast<ssize_t>(sizeof *event + event->len);
  }
  EXPECT_EQ(seen, "create modify move delete ");
}

class ErrorsOf : public InPlace {};
IN_ALL_PLACES(ErrorsOf);

TEST_P(ErrorsOf, what_would_cross_filesystems_are_exdev) {
  MUST(make("file"));
  MUST(mkdir("dir", 0755));
  FAILS(rename("file", "/proc/file"), EXDEV);
  FAILS(rename("dir", "/proc/dir"), EXDEV);
  FAILS(link("/proc/version", "other"), EXDEV);
  EXPECT_TRUE(exists("file"));
}

TEST_P(ErrorsOf, dots_are_those_of_the_manual) {
  MUST(mkdir("dir", 0755));
  MUST(mkdir("dir/sub", 0755));
  FAILS(rmdir("dir/."), EINVAL);
  FAILS(rmdir("dir/sub/.."), ENOTEMPTY);
  FAILS(unlink("dir/.."), EISDIR);
  FAILS(rename("dir/.", "other"), EBUSY);
  FAILS(rename("dir", "dir/sub/.."), EBUSY);
  FAILS(mkdir("dir/.", 0755), EEXIST);
  FAILS(mkdir("dir/..", 0755), EEXIST);
  FAILS(rename("dir/sub", "dir/sub/below"), EINVAL);
}

TEST_P(ErrorsOf, descriptors_of_the_wrong_kind_are_told) {
  MUST(make("file", "content"));
  MUST(mkdir("dir", 0755));
  OK(symlink("file", "link"));
  FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  FAILS(open("link", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
  const File reader("file", O_RDONLY);
  const File writer("file", O_WRONLY);
  const File dir("dir", O_RDONLY | O_DIRECTORY);
  char byte = 0;
  FAILS(write(reader, "x", 1), EBADF);
  FAILS(read(writer, &byte, 1), EBADF);
  FAILS(ftruncate(reader, 0), EINVAL);
  FAILS(fallocate(reader, 0, 0, 4096), EBADF);
  FAILS(read(dir, &byte, 1), EISDIR);
  FAILS(pread(dir, &byte, 1, 0), EISDIR);
  const auto map = [](int fd, int access) {
    void* const place = mmap(nullptr, 4096, access, MAP_SHARED, fd, 0);
    return place == MAP_FAILED ? -1 : munmap(place, 4096);
  };
  FAILS(map(dir, PROT_READ), ENODEV);
  FAILS(map(reader, PROT_READ | PROT_WRITE), EACCES);
  FAILS(map(writer, PROT_READ), EACCES);
  const File path("file", O_PATH);
  FAILS(read(path, &byte, 1), EBADF);
  FAILS(fchmod(path, 0600), EBADF);
}

TEST_P(ErrorsOf, ranges_that_cannot_be_are_einval) {
  MUST(make("file", "content"));
  const File file("file", O_RDWR);
  char byte = 0;
  FAILS(pread(file, &byte, 1, -1), EINVAL);
  FAILS(pwrite(file, &byte, 1, -1), EINVAL);
  FAILS(ftruncate(file, -1), EINVAL);
  FAILS(fallocate(file, 0, -1, 1), EINVAL);
  FAILS(fallocate(file, 0, 0, 0), EINVAL);
  FAILS(lseek(file, -8, SEEK_CUR), EINVAL);
  FAILS(lseek(file, 0, 77), EINVAL);
  EXPECT_EQ(pread(file, &byte, 1, 7), 0);
  EXPECT_EQ(pread(file, &byte, 1, off_t{1} << 40), 0);
  EXPECT_EQ(write(file, &byte, 0), 0);
  void* const nowhere = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FAILS(write(file, nowhere, 1), EFAULT);
  FAILS(read(file, nowhere, 1), EFAULT);
  munmap(nowhere, 4096);
}

TEST_P(ErrorsOf, the_limit_of_the_process_are_efbig_and_a_signal) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{10000, 10000};
    signal(SIGXFSZ, SIG_IGN);
    const File file("file", O_CREAT | O_RDWR);
    const std::string large(8000, 'l');
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    if (write(file, large.data(), large.size()) != 8000) _exit(2);
    if (write(file, large.data(), large.size()) != 2000) _exit(3);
    if (write(file, "x", 1) != -1 || errno != EFBIG) _exit(4);
    if (ftruncate(file, 10001) != -1 || errno != EFBIG) _exit(5);
    if (fallocate(file, 0, 9000, 2000) != -1 || errno != EFBIG) _exit(6);
    signal(SIGXFSZ, SIG_DFL);
    static_cast<void>(!write(file, "x", 1));
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) << WEXITSTATUS(status);
  EXPECT_EQ(status_of("file").st_size, 10000);
}

TEST_P(ErrorsOf, vectors_are_written_as_one_piece) {
  const File file("file", O_CREAT | O_RDWR | O_APPEND);
  std::string parts[3] = {"one", "", "three"};
  iovec vector[3];
  for (int i = 0; i < 3; ++i) vector[i] = {parts[i].data(), parts[i].size()};
  EXPECT_EQ(writev(file, vector, 3), 8);
  EXPECT_EQ(pwritev2(file, vector, 3, -1, RWF_DSYNC), 8);
  EXPECT_EQ(content_of("file"), "onethreeonethree");
  char a[4] = {};
  char b[6] = {};
  const iovec into[2] = {{a, 3}, {b, 5}};
  EXPECT_EQ(preadv(file, into, 2, 8), 8);
  EXPECT_STREQ(a, "one");
  EXPECT_STREQ(b, "three");
}

}  // namespace
}  // namespace rvmfs::test
