// MappedFile: a file's bytes, read-only, mapped where the system can.
//
// Owns the mapping; views of bytes() are valid until it is destroyed. Movable. Reading from several threads is safe.
// Truncating a mapped file under a running process raises SIGBUS, as with every program that maps its model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace quern {

// What tells a file from every other and from its own earlier contents, short of reading it.
struct FileIdentity {
  uint64_t device = 0, inode = 0, bytes = 0;
  int64_t modified_ns = 0, changed_ns = 0;  // the contents; the contents or name, owner, mode
};

class MappedFile {
 public:
  // use_mmap false reads the whole file into memory instead (slower start, no page faults later).
  static Result<MappedFile> open(const std::string& path, bool use_mmap = true);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool is_mapped() const { return mapped_; }
  // At the time of opening.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

  // Tells the system that [offset, offset + size) is not needed for now; its pages may leave memory. No effect on the
  // contents.
  void release(size_t offset, size_t size) const;

 private:
  MappedFile() = default;
  void close();

  std::string path_;
  FileIdentity identity_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace quern
