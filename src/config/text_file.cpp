#include "config/text_file.h"

#include <span>

#include "os/file.h"

namespace quern {

Result<std::string> read_text_file(const std::string& path, size_t limit) {
  QUERN_TRY(File file, File::open(path, File::Mode::kRead));
  // Not by size(): a pipe or a file under /proc says 0.
  std::string text(limit + 1, '\0');
  size_t have = 0;
  while (have < text.size()) {
    QUERN_TRY(const size_t n, file.read(std::as_writable_bytes(std::span(text).subspan(have))));
    if (n == 0) break;
    have += n;
  }
  if (have > limit) return fail_f(ErrorCode::kResource, "{}: more than {} bytes", path, limit);
  text.resize(have);
  return text;
}

}  // namespace quern
