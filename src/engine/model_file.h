// ModelFile: the file or files of a model, mapped and parsed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "os/mapped_file.h"

namespace quern {

class ModelFile {
 public:
  // `path` is a GGUF file or the first of a split set. Owns the bytes that view() and everything made of it refer to.
  static Result<std::unique_ptr<ModelFile>> open(const std::string& path, bool use_mmap = true);

  [[nodiscard]] const GgufView& view() const { return view_; }
  [[nodiscard]] std::vector<const MappedFile*> files() const;
  // Weights have been packed: the mapped pages of the file may leave memory until they are read again.
  void release_pages() const;

 private:
  ModelFile(std::vector<MappedFile> files, GgufView view) : files_(std::move(files)), view_(std::move(view)) {}

  std::vector<MappedFile> files_;
  GgufView view_;
};

}  // namespace quern
