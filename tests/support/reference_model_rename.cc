// SPDX-License-Identifier: BSD-2-Clause
//
// The reference model: rename(2) with its flags.
#include <linux/fs.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/support/reference_model.h"

namespace rvmfs::test {

// One rename: who is involved, whether it may be done, and doing it.
class ModelRename {
 public:
  ModelRename(ReferenceModel& model, Inode parent, std::string_view name, Inode new_parent,
              std::string_view new_name, uint32_t flags)
      : model_(model),
        parent_(parent),
        new_parent_(new_parent),
        name_(name),
        new_name_(new_name),
        flags_(flags) {}

  Done run() {
    if (const int error = check_arguments()) return {error, {}};
    source_ = model_.child(parent_, name_);
    target_ = model_.child(new_parent_, new_name_);
    if (const int error = check_nodes()) return {error, {}};
    if (source_ == target_) return {};
    if (exchange()) {
      do_exchange();
    } else {
      do_move();
    }
    return {};
  }

 private:
  bool exchange() const { return (flags_ & RENAME_EXCHANGE) != 0; }
  bool whiteout() const { return (flags_ & RENAME_WHITEOUT) != 0; }
  bool no_replace() const { return (flags_ & RENAME_NOREPLACE) != 0; }
  bool is_directory(Inode inode) const { return model_.find(inode)->is_directory(); }

  int check_arguments() const {
    const uint32_t known = RENAME_EXCHANGE | RENAME_NOREPLACE | RENAME_WHITEOUT;
    if ((flags_ & ~known) != 0) return EINVAL;
    if (exchange() && (no_replace() || whiteout())) return EINVAL;
    const int from = model_.check_name(parent_, name_);
    const int to = model_.check_name(new_parent_, new_name_);
    if (from != 0 && to != 0 && from != to) return kAnyError;
    return from != 0 ? from : to;
  }

  // True if `directory` is `ancestor` or lies below it.
  bool is_below(Inode directory, Inode ancestor) const {
    for (;;) {
      if (directory == ancestor) return true;
      const ModelNode* node = model_.find(directory);
      if (node == nullptr || node->nlink == 0 || node->parent == directory) return false;
      directory = node->parent;
    }
  }

  int check_nodes() const {
    if (source_ == 0) return ENOENT;
    if (model_.find(new_parent_)->nlink == 0) return ENOENT;
    if (target_ != 0 && no_replace()) return EEXIST;
    if (target_ == 0 && exchange()) return ENOENT;
    if (is_directory(source_) && is_below(new_parent_, source_)) return EINVAL;
    const bool target_above = target_ != 0 && is_directory(target_) && is_below(parent_, target_);
    if (exchange()) return target_above ? EINVAL : 0;
    if (target_ == 0 || target_ == source_) return 0;
    if (target_above) return is_directory(source_) ? ENOTEMPTY : kAnyError;
    if (is_directory(source_) && !is_directory(target_)) return ENOTDIR;
    if (!is_directory(source_) && is_directory(target_)) return EISDIR;
    return is_directory(target_) && !model_.find(target_)->entries.empty() ? ENOTEMPTY : 0;
  }

  // A directory leaves one parent for another: ".." and the link counts follow.
  void adopt(Inode inode, Inode from, Inode to) {
    if (!is_directory(inode)) return;
    model_.edit(inode).parent = to;
    --model_.edit(from).nlink;
    ++model_.edit(to).nlink;
  }

  void stamp() {
    model_.stamp_directory(parent_);
    model_.stamp_directory(new_parent_);
  }

  void do_exchange() {
    model_.edit(parent_).entries[std::string(name_)] = target_;
    model_.edit(new_parent_).entries[std::string(new_name_)] = source_;
    adopt(source_, parent_, new_parent_);
    adopt(target_, new_parent_, parent_);
    model_.edit(source_).ctime = model_.now;
    model_.edit(target_).ctime = model_.now;
    stamp();
  }

  void do_move() {
    model_.edit(parent_).entries.erase(std::string(name_));
    model_.edit(new_parent_).entries[std::string(new_name_)] = source_;
    adopt(source_, parent_, new_parent_);
    if (target_ != 0 && is_directory(target_)) --model_.edit(new_parent_).nlink;
    model_.edit(source_).ctime = model_.now;
    stamp();
    if (whiteout()) {
      // Nobody said whose it is: the directory's owner.
      const ModelNode& directory = *model_.find(parent_);
      const Inode white = model_.add_node(parent_, S_IFCHR, {directory.uid, directory.gid});
      model_.edit(white).nlink = 1;
      model_.add_entry(parent_, name_, white);
    }
    if (target_ != 0) model_.drop_link(target_);
  }

  ReferenceModel& model_;
  const Inode parent_, new_parent_;
  const std::string_view name_, new_name_;
  const uint32_t flags_;
  Inode source_ = 0, target_ = 0;
};

Done ReferenceModel::rename(Inode parent, std::string_view name, Inode new_parent,
                            std::string_view new_name, uint32_t flags) {
  return ModelRename(*this, parent, name, new_parent, new_name, flags).run();
}

}  // namespace rvmfs::test
