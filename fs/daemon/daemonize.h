// SPDX-License-Identifier: BSD-2-Clause
//
// Going to the background. The fork comes first, before the image is opened and before any thread
// exists; the parent then waits until the child says that the mount answers, and returns its
// verdict, so that `rvmfs image dir && ls dir` works and a failure has an exit status. Until that
// moment the child writes to the caller's stderr.
#pragma once

#include <optional>

#include "fs/errors.h"

namespace rvmfs {

class Background {
 public:
  // Forks. In the parent the child's exit status is in `parent_status`, and the caller returns it
  // at once. In the child it is empty, and the child is in a session of its own.
  static Result<Background> enter(std::optional<int>& parent_status);
  Background() = default;  // in the foreground: everything below does nothing
  Background(Background&& other) noexcept : report_fd_(other.report_fd_) { other.report_fd_ = -1; }
  Background& operator=(Background&& other) noexcept;
  ~Background();

  // The mount answers: lets go of the caller's terminal and folder, and lets the parent return.
  void detach();

 private:
  int report_fd_ = -1;
};

}  // namespace rvmfs
