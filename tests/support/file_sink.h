// FileSink: writes a GGUF file to disk piece by piece. Owned by one thread.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace quern {

class FileSink {
 public:
  explicit FileSink(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wb")) {}

  Status write(std::span<const std::byte> bytes) {
    if (!file_ || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) return refused();
    return {};
  }

  // Flushes; without it a full disk goes unnoticed.
  Status close() {
    if (!file_ || std::fclose(file_.release()) != 0) return refused();
    return {};
  }

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };

  [[nodiscard]] tl::unexpected<Error> refused() const {
    return fail_f(ErrorCode::kIo, "{}: cannot be written: {}", path_, std::strerror(errno));
  }

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace quern
