// GGUF reader: any bytes give a view whose every accessor is safe, or one error. The first byte chooses how many views
// are joined. Tensors are decoded only in part: their decoders are fuzzed by every length here, not by volume.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "gguf/describe.h"
#include "gguf/reader.h"
#include "gguf/writer.h"

namespace {

using quern::GgufTensor;
using quern::GgufView;

volatile uint64_t sink_of_reads;

void require(bool condition) {
  if (!condition) std::abort();
}

void touch_key(const GgufView& view, std::string_view name) {
  require(view.find(name) != nullptr);
  uint64_t sum = view.get_u64(name).value_or(0) + view.get_u64(name, 1).value_or(0);
  sum += static_cast<uint64_t>(view.get_i64(name).value_or(0)) + view.get_bool(name, true).value_or(false);
  sum += view.get_f32(name).value_or(0) > 0 ? 1 : 0;
  for (const char c : view.get_string(name).value_or("")) sum += static_cast<uint64_t>(c);
  if (const auto texts = view.get_strings(name)) {
    size_t n = 0;
    for (const auto text : *texts) {
      for (const char c : text) sum += static_cast<uint64_t>(c);
      ++n;
    }
    require(n == texts->size());
  }
  for (const auto v : view.get_array<int32_t>(name).value_or(std::vector<int32_t>{})) sum += static_cast<uint64_t>(v);
  sum += view.get_array<uint64_t>(name).value_or(std::vector<uint64_t>{}).size();
  sum += view.get_array<float>(name).value_or(std::vector<float>{}).size();
  sum += view.get_array<bool>(name).value_or(std::vector<bool>{}).size();
  sink_of_reads = sum;
}

void touch_tensor(const GgufView& view, const GgufTensor& tensor) {
  require(view.find_tensor(tensor.name) == &tensor);
  require(tensor.n_elements() > 0 && !tensor.data.empty());
  uint64_t sum = static_cast<uint64_t>(tensor.data.front()) + static_cast<uint64_t>(tensor.data.back());
  const auto& format = quern::format_info(tensor.type);
  const uint64_t n = std::min<uint64_t>(tensor.n_elements(), 4 * quern::kMaxBlockElems);
  std::vector<float> values(n / format.block_elems * format.block_elems);
  format.decode(tensor.data.data(), values.data(), values.size());
  for (const float v : values) sum += v > 0;
  sink_of_reads = sum;
}

void touch(const GgufView& view) {
  for (const auto& key : view.keys()) touch_key(view, key.name);
  for (const auto& tensor : view.tensors()) touch_tensor(view, tensor);
  sink_of_reads = quern::describe(view).keys.size();
}

// What was read can be written and reads the same.
void rewrite(const GgufView& view) {
  quern::GgufWriter writer;
  for (const auto& [name, value] : view.keys())
    if (name != "general.alignment") writer.add(name, value);
  for (const auto& t : view.tensors())
    writer.add_tensor({std::string(t.name), t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}}, t.data);
  const auto bytes = writer.bytes();
  require(bytes.has_value());
  const auto again = GgufView::parse(*bytes, "again.gguf");
  require(again.has_value());
  require(again->tensors().size() == view.tensors().size());
  for (const auto& tensor : view.tensors()) {
    const auto* copy = again->find_tensor(tensor.name);
    require(copy && copy->type == tensor.type && copy->dims == tensor.dims);
    require(std::equal(copy->data.begin(), copy->data.end(), tensor.data.begin(), tensor.data.end()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const size_t n_parts = 1 + data[0] % 3;
  std::vector<GgufView> parts;
  for (size_t i = 0; i < n_parts; ++i) {
    // Slices of the input, so that parts may differ.
    const size_t share = bytes.size() / n_parts;
    auto view = GgufView::parse(bytes.subspan(i * share, i + 1 == n_parts ? bytes.size() - i * share : share), "fuzz");
    if (!view) {
      require(!view.error().message.empty());
      return 0;
    }
    touch(*view);
    rewrite(*view);
    parts.push_back(std::move(*view));
  }
  const auto joined = GgufView::join(std::move(parts));
  if (joined) touch(*joined);
  const std::string name(reinterpret_cast<const char*>(data), size);
  sink_of_reads = quern::split_paths(name).has_value();
  return 0;
}
