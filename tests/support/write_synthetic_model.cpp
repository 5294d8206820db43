// write_synthetic_model OUT.gguf TYPE [name=value ...]: writes a model of a real shape with random weights, qwen2 7B
// unless told otherwise, e.g. layers=4 width=1024 heads=8 kv_heads=2 head_dim=128 ffn=2816 vocab=32000 context=4096
// seed=1. TYPE is a tensor format: q4_0, q4_k, ...
#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "tests/support/file_sink.h"
#include "tests/support/synthetic_model.h"

namespace {

using quern::ErrorCode;
using quern::Status;

struct Arguments {
  quern::SyntheticShape shape;
  uint32_t seed = 1;
};

Status set(Arguments& a, std::string_view argument) {
  const std::pair<std::string_view, uint32_t*> fields[] = {
      {"layers", &a.shape.layers},     {"width", &a.shape.width}, {"heads", &a.shape.heads},
      {"kv_heads", &a.shape.kv_heads}, {"ffn", &a.shape.ffn},     {"head_dim", &a.shape.head_dim},
      {"vocab", &a.shape.vocab},       {"seed", &a.seed},         {"context", &a.shape.context},
  };
  const size_t equals = argument.find('=');
  for (const auto& [name, field] : fields) {
    if (equals == std::string_view::npos || argument.substr(0, equals) != name) continue;
    const std::string_view value = argument.substr(equals + 1);
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *field);
    if (error == std::errc() && end == value.data() + value.size()) return {};
  }
  return quern::fail_f(ErrorCode::kInvalidArgument, "{}: not a known name with a number", argument);
}

Status run(int argc, char** argv) {
  const quern::FormatInfo* format = quern::find_format(std::string_view(argv[2]));
  if (format == nullptr) return quern::fail_f(ErrorCode::kInvalidArgument, "unknown type {}", argv[2]);
  Arguments arguments;
  for (int i = 3; i < argc; ++i) QUERN_CHECK_OK(set(arguments, argv[i]));
  quern::FileSink file(argv[1]);
  const auto sink = [&file](std::span<const std::byte> bytes) { return file.write(bytes); };
  QUERN_CHECK_OK(quern::write_synthetic_model(arguments.shape, format->type, arguments.seed, sink));
  return file.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: write_synthetic_model OUT.gguf TYPE [name=value ...]\n");
    return 2;
  }
  const Status status = run(argc, argv);
  if (status) return 0;
  fmt::print(stderr, "write_synthetic_model: {}\n", status.error().message);
  return 1;
}
