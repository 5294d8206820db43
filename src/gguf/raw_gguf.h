// Test helper: a GGUF file described field by field, so that a test can get any one of them wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gguf/value.h"

namespace quern::testing {

template <class T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
inline std::string counted(const std::string& text) {
  return le<uint64_t>(text.size()) + text;
}
inline std::string array_of(GgufType element, uint64_t count, const std::string& payload) {
  return le(static_cast<uint32_t>(element)) + le(count) + payload;
}

struct RawKey {
  std::string name;
  GgufType type = GgufType::kUint32;
  std::string payload;
  std::optional<uint64_t> name_length;
};

struct RawTensor {
  std::string name;
  std::vector<uint64_t> dims;
  uint32_t type = 0;
  uint64_t offset = 0;
  std::optional<uint64_t> name_length;
  std::optional<uint32_t> n_dims;
};

// The default is a valid file: every section present, two tensors of 64 and 18 bytes.
struct RawGguf {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors;
  std::optional<uint64_t> n_keys;
  std::vector<RawKey> keys = {
      {"general.architecture", GgufType::kString, counted("test"), {}},
      {"general.alignment", GgufType::kUint32, le<uint32_t>(32), {}},
      {"t.flag", GgufType::kBool, le<uint8_t>(1), {}},
      {"t.numbers",
       GgufType::kArray,
       array_of(GgufType::kInt16, 3, le<int16_t>(1) + le<int16_t>(-2) + le<int16_t>(3)),
       {}},
      {"t.texts", GgufType::kArray, array_of(GgufType::kString, 2, counted("one") + counted("")), {}},
  };
  std::vector<RawTensor> tensors = {
      {"first", {8, 2}, 0, 0, {}, {}},
      {"second", {32}, 2, 64, {}, {}},
  };
  uint64_t data_bytes = 64 + 18;
  uint64_t alignment = 32;

  // Where each section ends, in the file's order; filled by build().
  std::vector<std::pair<std::string, size_t>> sections;

  std::vector<std::byte> build() {
    sections.clear();
    std::string out;
    const auto part = [&](const std::string& name, const std::string& bytes) {
      out += bytes;
      sections.emplace_back(name, out.size());
    };
    part("magic", magic);
    part("version", le(version));
    part("tensor count", le<uint64_t>(n_tensors.value_or(tensors.size())));
    part("key count", le<uint64_t>(n_keys.value_or(keys.size())));
    for (const auto& key : keys) {
      part("key name", le<uint64_t>(key.name_length.value_or(key.name.size())) + key.name);
      part("key type", le(static_cast<uint32_t>(key.type)));
      part("key value", key.payload);
    }
    for (const auto& tensor : tensors) {
      part("tensor name", le<uint64_t>(tensor.name_length.value_or(tensor.name.size())) + tensor.name);
      part("tensor n_dims", le<uint32_t>(tensor.n_dims.value_or(static_cast<uint32_t>(tensor.dims.size()))));
      std::string dims;
      for (const uint64_t dim : tensor.dims) dims += le(dim);
      part("tensor dims", dims);
      part("tensor type", le(tensor.type));
      part("tensor offset", le(tensor.offset));
    }
    part("padding", std::string((alignment - out.size() % alignment) % alignment, '\0'));
    part("data", std::string(data_bytes, '\1'));
    std::vector<std::byte> bytes(out.size());
    std::memcpy(bytes.data(), out.data(), out.size());
    return bytes;
  }
};

}  // namespace quern::testing
