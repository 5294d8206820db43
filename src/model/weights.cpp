#include "model/weights.h"

namespace quern {

Result<TensorSource> WeightLoader::source(const std::string& name, size_t rows, size_t cols) {
  const GgufTensor* t = file_->find_tensor(name);
  if (t == nullptr) {
    return fail_f(ErrorCode::kCorrupt, "{}: tensor {} is missing; the file does not hold a whole model",
                  file_->file_name(), name);
  }
  if (t->dims[0] != cols || t->n_rows() != rows) {
    return fail_f(ErrorCode::kCorrupt, "{}: tensor {} is {} x {}, the model's keys call for {} x {}",
                  file_->file_name(), name, t->n_rows(), t->dims[0], rows, cols);
  }
  used_.insert(name);
  return TensorSource{.name = name, .type = t->type, .rows = rows, .cols = cols, .data = t->data};
}

Result<std::unique_ptr<Matrix>> WeightLoader::matrix(const std::string& name, size_t rows, size_t cols) {
  return rows_of(name, rows, 0, rows, cols);
}

Result<std::unique_ptr<Matrix>> WeightLoader::rows_of(const std::string& name, size_t total_rows, size_t first_row,
                                                      size_t rows, size_t cols) {
  QUERN_TRY(TensorSource s, source(name, total_rows, cols));
  const size_t row = *row_bytes(s.type, cols);
  s.data = s.data.subspan(first_row * row, rows * row);
  s.rows = rows;
  s.first_row = first_row;
  QUERN_TRY(auto m, backend_->make_matrix(s));
  matrix_bytes_ += m->bytes;
  return m;
}

Result<std::unique_ptr<Buffer>> WeightLoader::vector(const std::string& name, size_t n) {
  QUERN_TRY(const TensorSource s, source(name, 1, n));
  return backend_->make_floats(s);
}

Result<std::unique_ptr<Buffer>> WeightLoader::optional_vector(const std::string& name, size_t n) {
  if (!has(name)) return std::unique_ptr<Buffer>();
  return vector(name, n);
}

Result<TensorSource> WeightLoader::table(const std::string& name, size_t rows, size_t cols) {
  return source(name, rows, cols);
}

std::vector<std::string> WeightLoader::unused() const {
  std::vector<std::string> names;
  for (const GgufTensor& t : file_->tensors()) {
    // Divisors of RoPE are read by model/rope, when the context calls for them.
    if (!used_.contains(t.name) && !t.name.starts_with("rope_")) names.emplace_back(t.name);
  }
  return names;
}

}  // namespace quern
