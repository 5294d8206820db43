// WeightLoader: takes the tensors of a file by name and shape and hands them to a backend.
//
// Every tensor is asked for once, with the shape that the architecture gives it; a missing one or one of another shape
// is an error that names both. finish() tells which tensors nobody asked for.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "gguf/reader.h"

namespace quern {

class WeightLoader {
 public:
  WeightLoader(const GgufView& file, Backend& backend) : file_(&file), backend_(&backend) {}

  [[nodiscard]] const GgufView& file() const { return *file_; }
  [[nodiscard]] Backend& backend() { return *backend_; }
  [[nodiscard]] bool has(const std::string& name) const { return file_->find_tensor(name) != nullptr; }

  // rows x cols: y = W x with x of cols elements.
  Result<std::unique_ptr<Matrix>> matrix(const std::string& name, size_t rows, size_t cols);
  // Rows [first_row, first_row + rows) of a tensor of total_rows x cols, for files that fuse several matrices.
  Result<std::unique_ptr<Matrix>> rows_of(const std::string& name, size_t total_rows, size_t first_row, size_t rows,
                                          size_t cols);
  Result<std::unique_ptr<Buffer>> vector(const std::string& name, size_t n);
  // The same, or null where the file has none.
  Result<std::unique_ptr<Buffer>> optional_vector(const std::string& name, size_t n);
  // A tensor that stays in the file, read row by row.
  Result<TensorSource> table(const std::string& name, size_t rows, size_t cols);

  [[nodiscard]] size_t matrix_bytes() const { return matrix_bytes_; }
  // Names of tensors that were never asked for.
  [[nodiscard]] std::vector<std::string> unused() const;

 private:
  Result<TensorSource> source(const std::string& name, size_t rows, size_t cols);

  const GgufView* file_;
  Backend* backend_;
  std::set<std::string, std::less<>> used_;
  size_t matrix_bytes_ = 0;
};

}  // namespace quern
