// write_tiny_model NAME OUT.gguf [TYPE]: writes one tiny model to disk, its matrices as TYPE (f32). Without arguments
// lists the names. For tests of programs, and to look at the files with other readers.
#include <fmt/format.h>

#include "tests/support/file_sink.h"
#include "tests/support/tiny_model.h"

namespace {

using quern::Status;

Status list_names() {
  QUERN_TRY(const auto names, quern::tiny_model_names());
  for (const std::string& name : names) fmt::print("{}\n", name);
  return {};
}

Status write_model(const char* name, const char* path, const char* type_name) {
  const quern::FormatInfo* format = quern::find_format(std::string_view(type_name));
  if (format == nullptr) return quern::fail_f(quern::ErrorCode::kInvalidArgument, "unknown type {}", type_name);
  QUERN_TRY(const auto bytes, quern::tiny_model(name, format->type));
  quern::FileSink sink(path);
  QUERN_CHECK_OK(sink.write(bytes));
  return sink.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 1 && argc != 3 && argc != 4) {
    fmt::print(stderr, "usage: write_tiny_model [NAME OUT.gguf [TYPE]]\n");
    return 2;
  }
  const Status status = argc == 1 ? list_names() : write_model(argv[1], argv[2], argc == 4 ? argv[3] : "f32");
  if (status) return 0;
  fmt::print(stderr, "write_tiny_model: {}\n", status.error().message);
  return 1;
}
