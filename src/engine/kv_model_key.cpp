#include "engine/kv_model_key.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/digest.h"

namespace quern {

namespace {

constexpr size_t kFileSamples = 16, kFileSample = size_t{64} << 10;
constexpr size_t kTensorSamples = 3, kTensorSample = size_t{4} << 10;

// Digests of `n` pieces of `bytes`, the first at the beginning and the last at the end.
void sample(std::span<const std::byte> bytes, size_t n, size_t length, std::vector<Digest>& out) {
  const size_t piece = std::min(length, bytes.size()), room = bytes.size() - piece;
  for (size_t i = 0; i < n; ++i) out.push_back(digest(bytes.subspan(room * i / (n - 1), piece)));
}

}  // namespace

std::string kv_model_key(const ModelFile& model) {
  std::vector<Digest> parts;
  const auto files = model.files();
  for (uint32_t i = 0; i < files.size(); ++i) {
    const auto bytes = files[i]->bytes();
    uint64_t header = bytes.size();
    for (const GgufTensor& t : model.view().tensors()) {
      if (t.part == i) header = std::min(header, t.file_offset);
    }
    parts.push_back(digest(bytes.first(header)));
    const std::array<uint64_t, 2> figures{bytes.size(), static_cast<uint64_t>(files[i]->identity().modified_ns)};
    parts.push_back(digest(std::as_bytes(std::span(figures))));
    sample(bytes, kFileSamples, kFileSample, parts);
  }
  for (const GgufTensor& t : model.view().tensors()) sample(t.data, kTensorSamples, kTensorSample, parts);
  return to_hex(digest(std::as_bytes(std::span(parts))));
}

}  // namespace quern
