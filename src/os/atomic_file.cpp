#include "os/atomic_file.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <utility>

namespace quern {

Result<AtomicFile> AtomicFile::create(const std::string& path, File::Mode mode) {
  // Process and counter make the name this object's own; a leftover of a killed process with the same id is not ours to
  // write into, so creation is exclusive and the next number is tried.
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0;; ++attempt) {
    const std::string name = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter.fetch_add(1));
    auto file = File::open(name, mode);
    if (file) return AtomicFile(path, std::move(*file));
    if (attempt == 16 || ::access(name.c_str(), F_OK) != 0) return tl::unexpected<Error>(std::move(file).error());
  }
}

AtomicFile::~AtomicFile() {
  if (file_ && !file_->path().empty()) std::remove(file_->path().c_str());
}

Status AtomicFile::commit() {
  QUERN_CHECK_OK(file_->sync());
  QUERN_CHECK_OK(replace_file(file_->path(), path_));
  file_.reset();
  return {};
}

Result<File> AtomicFile::publish_unsynced() {
  // The folder is left alone as well: a journal may have to write the file's data before it can make the name lasting.
  QUERN_CHECK_OK(rename_file(file_->path(), path_));
  File file = std::move(*file_);
  file_.reset();
  return file;
}

Status write_file_atomically(const std::string& path, std::string_view contents) {
  QUERN_TRY(AtomicFile file, AtomicFile::create(path));
  QUERN_CHECK_OK(file.write(std::as_bytes(std::span(contents))));
  return file.commit();
}

}  // namespace quern
