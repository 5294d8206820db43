// GgufView: a GGUF file as its keys and tensors, without copying.
//
// Implements GGUF versions 2 and 3, little-endian (docs/formats.md; ggml/docs/gguf.md). Whatever the bytes are, parse
// returns a view whose every length, offset and name has been checked, or one Error that says file, byte and reason;
// its work and memory are bounded by the file's size. The bytes must outlive the view and everything taken from it. A
// view does not change after parse: any thread may read it.
//
// A model in several files is one view too: split_paths names them, parse reads each, join makes them one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/value.h"
#include "quant/format.h"

namespace quern {

inline constexpr uint32_t kGgufMaxDims = 4;
inline constexpr uint32_t kGgufDefaultAlignment = 32;
inline constexpr uint32_t kGgufMaxAlignment = 1u << 16;
inline constexpr uint64_t kGgufMaxKeyLength = 65535;      // as the format's text says
inline constexpr uint64_t kGgufMaxTensorNameLength = 64;  // as the format's text says
inline constexpr uint64_t kGgufMaxKeys = 1u << 16;
inline constexpr uint64_t kGgufMaxTensors = 1u << 16;
inline constexpr uint32_t kGgufMaxSplits = 4096;

struct GgufKey {
  std::string_view name;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  TensorType type{};
  uint32_t n_dims = 0;
  std::array<uint64_t, kGgufMaxDims> dims{1, 1, 1, 1};  // dims[0] is the row's length, as in the file; 1 beyond n_dims
  std::span<const std::byte> data;                      // the rows, one after the other
  uint64_t file_offset = 0;                             // of data in its file
  uint32_t part = 0;                                    // which file of a split model

  [[nodiscard]] uint64_t n_rows() const { return dims[1] * dims[2] * dims[3]; }
  [[nodiscard]] uint64_t n_elements() const { return dims[0] * n_rows(); }
};

class GgufView {
 public:
  // `file_name` is for messages only. kCorrupt: damaged; kUnsupported: well-formed, but a version, byte order or tensor
  // format that this build does not read.
  static Result<GgufView> parse(std::span<const std::byte> bytes, std::string file_name);

  // Joins the parts of a split model in the order of split_paths: keys of the first, tensors of all. A single file that
  // is not part of a split passes through. kNotFound when parts are missing, kCorrupt when they do not fit together.
  static Result<GgufView> join(std::vector<GgufView> parts);

  [[nodiscard]] const std::string& file_name() const { return file_name_; }
  [[nodiscard]] uint32_t version() const { return version_; }
  [[nodiscard]] uint32_t alignment() const { return alignment_; }
  [[nodiscard]] uint32_t n_parts() const { return n_parts_; }
  [[nodiscard]] uint64_t file_bytes() const { return file_bytes_; }  // of all parts

  // In the file's order.
  [[nodiscard]] std::span<const GgufKey> keys() const { return keys_; }
  [[nodiscard]] std::span<const GgufTensor> tensors() const { return tensors_; }

  // Null when absent.
  [[nodiscard]] const GgufValue* find(std::string_view key) const;
  [[nodiscard]] const GgufTensor* find_tensor(std::string_view name) const;

  // kNotFound when the key is absent, kCorrupt when its value is of another type or does not fit. The forms with a
  // default return it only when the key is absent.
  [[nodiscard]] Result<uint64_t> get_u64(std::string_view key) const;
  [[nodiscard]] Result<uint64_t> get_u64(std::string_view key, uint64_t absent) const;
  [[nodiscard]] Result<int64_t> get_i64(std::string_view key) const;
  [[nodiscard]] Result<int64_t> get_i64(std::string_view key, int64_t absent) const;
  [[nodiscard]] Result<float> get_f32(std::string_view key) const;
  [[nodiscard]] Result<float> get_f32(std::string_view key, float absent) const;
  [[nodiscard]] Result<bool> get_bool(std::string_view key) const;
  [[nodiscard]] Result<bool> get_bool(std::string_view key, bool absent) const;
  [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
  [[nodiscard]] Result<std::string_view> get_string(std::string_view key, std::string_view absent) const;
  [[nodiscard]] Result<GgufStrings> get_strings(std::string_view key) const;
  // T is int32_t, uint32_t, int64_t, uint64_t, float or bool; elements convert as scalars do.
  template <class T>
  [[nodiscard]] Result<std::vector<T>> get_array(std::string_view key) const;

 private:
  friend class GgufParser;
  Status build_index();
  template <class T, class Convert>
  Result<T> scalar(std::string_view key, std::string_view wanted, Convert convert) const;

  std::string file_name_;
  uint32_t version_ = 0;
  uint32_t alignment_ = kGgufDefaultAlignment;
  uint32_t n_parts_ = 1;
  uint64_t file_bytes_ = 0;
  std::vector<GgufKey> keys_;
  std::vector<GgufTensor> tensors_;
  // Sorted by name. Not a hash table: a hostile file could choose names that collide.
  std::vector<uint32_t> keys_by_name_;
  std::vector<uint32_t> tensors_by_name_;
};

// The file names of the split model that `path` belongs to, by its name alone: "x-00001-of-00003.gguf" gives three, any
// other name itself. kInvalidArgument when the numbers make no sense.
Result<std::vector<std::string>> split_paths(const std::string& path);

}  // namespace quern
