// File: an open file descriptor with whole reads and writes.
//
// Owns the descriptor, closes it when destroyed. Movable. One thread at a time. Errors are kNotFound, kResource (the
// disk is full) or kIo and name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace quern {

class File {
 public:
  enum class Mode : uint8_t {
    kRead,
    kReadWrite,      // must exist
    kCreate,         // read and write; must not exist yet
    kCreatePrivate,  // the same; only this user may read it
    kOpenOrNew,      // read and write; made when absent, contents kept
  };
  static Result<File> open(const std::string& path, Mode mode);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  [[nodiscard]] const std::string& path() const { return path_; }
  Result<uint64_t> size() const;
  // Reads at the cursor; 0 is the end of the file.
  Result<size_t> read(std::span<std::byte> to);
  // Writes all bytes at the cursor.
  Status write(std::span<const std::byte> bytes);
  // Writes all bytes at `offset`; the cursor stays. Several threads may, at places of their own.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  Status seek(uint64_t offset);
  Status truncate(uint64_t size);
  // Returns when the contents are on the disk.
  Status sync();
  // Sends [offset, offset + bytes) on its way and waits until the disk has it: a piece of a sync() that is to be
  // interruptible. Says nothing about the file's size and place, which sync() makes lasting.
  void write_back(uint64_t offset, uint64_t bytes);
  // Takes the whole-file lock that other processes see; false when another one holds it. Held until closed.
  Result<bool> try_lock();

 private:
  friend class HugeMemory;  // maps the descriptor
  File() = default;
  tl::unexpected<Error> error(const char* what) const;

  std::string path_;
  int fd_ = -1;
};

// Sets the time of last modification to now: the mark of use in a cache.
Status touch_file(const std::string& path);

// Makes a rename or removal in `folder` lasting: after a power cut it is either done or not begun.
Status sync_folder(const std::string& folder);

// Bytes that this user may still write on the disk of `folder`.
Result<uint64_t> free_disk_bytes(const std::string& folder);

// Makes a folder and its parents.
Status make_folders(const std::string& folder);
// The same; only this user may enter the folder. One that exists stays as it is.
Status make_private_folder(const std::string& folder);

// Moves `from` over `to` (same disk) in one step.
Status rename_file(const std::string& from, const std::string& to);
// The same, and makes it lasting.
Status replace_file(const std::string& from, const std::string& to);

}  // namespace quern
