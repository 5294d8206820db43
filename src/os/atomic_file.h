// AtomicFile: a file that appears under its name whole or not at all.
//
// Bytes go to a temporary name in the same folder; commit() brings them to the disk and renames. Destroyed without
// commit, it removes the temporary file and leaves an older file of that name as it was. Movable; one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "os/file.h"

namespace quern {

class AtomicFile {
 public:
  // The folder must exist. `mode` is kCreate or kCreatePrivate.
  static Result<AtomicFile> create(const std::string& path, File::Mode mode = File::Mode::kCreate);

  AtomicFile(AtomicFile&& other) noexcept = default;
  AtomicFile& operator=(AtomicFile&& other) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes) { return file_->write(bytes); }
  // Nothing may be written afterwards. On failure the temporary file goes with the object.
  Status commit();
  // As commit(), without waiting for the disk: after a power cut the name may stand for damaged contents. The caller
  // marks such a file until the returned one is synced.
  Result<File> publish_unsynced();

  // The temporary file itself, for whoever writes out of order.
  [[nodiscard]] File& file() { return *file_; }

 private:
  AtomicFile(std::string path, File file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  std::optional<File> file_;
};

// The contents of a small file in one step.
Status write_file_atomically(const std::string& path, std::string_view contents);

}  // namespace quern
