// ModelFile: a MODEL argument opened: the name resolved, all parts mapped, keys and tensors in one view.
//
// Owns the mappings; the view lives as long as it. Movable. The errors are those of resolve_model, MappedFile and
// GgufView.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "os/mapped_file.h"

namespace quern::cli {

class ModelFile {
 public:
  static Result<ModelFile> open(std::string_view name_or_path);

  [[nodiscard]] const std::string& path() const { return files_.front().path(); }
  [[nodiscard]] const GgufView& view() const { return view_; }

 private:
  ModelFile(std::vector<MappedFile> files, GgufView view) : files_(std::move(files)), view_(std::move(view)) {}

  std::vector<MappedFile> files_;
  GgufView view_;
};

}  // namespace quern::cli
