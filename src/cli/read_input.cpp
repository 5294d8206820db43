#include "cli/read_input.h"

#include <array>

#include "os/file.h"

namespace quern::cli {

namespace {

constexpr size_t kMaxInput = size_t{1} << 30;

}  // namespace

Result<std::string> read_input(const std::string& path) {
  QUERN_TRY(File file, File::open(path == "-" ? "/dev/stdin" : path, File::Mode::kRead));
  std::string text;
  std::array<std::byte, 1 << 16> buffer;
  for (;;) {
    QUERN_TRY(const size_t n, file.read(buffer));
    if (n == 0) return text;
    if (n > kMaxInput - text.size()) {
      return fail_f(ErrorCode::kResource, "{}: is longer than {} bytes", path, kMaxInput);
    }
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
}

}  // namespace quern::cli
