#include "gguf/writer.h"

#include <cstring>
#include <set>
#include <utility>

#include "base/checked.h"
#include "gguf/printable.h"

namespace quern {
namespace {

constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint32_t kVersion = 3;

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t at = out.size();
  out.resize(at + bytes.size());
  std::memcpy(out.data() + at, bytes.data(), bytes.size());
}

template <class T>
void put(std::vector<std::byte>& out, T value) {
  append(out, std::as_bytes(std::span(&value, 1)));
}

void put_string(std::vector<std::byte>& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  append(out, std::as_bytes(std::span(text)));
}

// Bytes of the tensor, or nullopt when the shape is not allowed.
std::optional<uint64_t> tensor_bytes(const GgufTensorSpec& spec) {
  if (spec.dims.empty() || spec.dims.size() > kGgufMaxDims) return std::nullopt;
  auto size = row_bytes(spec.type, spec.dims[0]);
  for (size_t d = 1; d < spec.dims.size() && size; ++d) size = checked_mul(*size, spec.dims[d]);
  return size && *size > 0 ? size : std::nullopt;
}

Status write_padding(const ByteSink& sink, uint64_t written, uint32_t alignment) {
  const std::vector<std::byte> zeros((alignment - written % alignment) % alignment);
  return zeros.empty() ? Status{} : sink(zeros);
}

}  // namespace

GgufWriter::GgufWriter(uint32_t alignment) : alignment_(alignment) {
  if (alignment != kGgufDefaultAlignment) add(kAlignmentKey, alignment);
}

void GgufWriter::add_raw(std::string_view key, GgufType type, std::span<const std::byte> payload) {
  Key entry{std::string(key), {}};
  put(entry.encoded, static_cast<uint32_t>(type));
  append(entry.encoded, payload);
  keys_.push_back(std::move(entry));
}

void GgufWriter::add_array_raw(std::string_view key, GgufType element, size_t count,
                               std::span<const std::byte> payload) {
  std::vector<std::byte> encoded;
  put(encoded, static_cast<uint32_t>(element));
  put<uint64_t>(encoded, count);
  append(encoded, payload);
  add_raw(key, GgufType::kArray, encoded);
}

void GgufWriter::add(std::string_view key, std::string_view text) {
  std::vector<std::byte> encoded;
  put_string(encoded, text);
  add_raw(key, GgufType::kString, encoded);
}

void GgufWriter::add(std::string_view key, const GgufValue& value) {
  if (value.is_array()) {
    add_array_raw(key, value.element_type(), value.size(), value.bytes());
  } else {
    add_raw(key, value.type(), value.bytes());
  }
}

void GgufWriter::add_strings(std::string_view key, std::span<const std::string_view> texts) {
  std::vector<std::byte> encoded;
  for (const auto text : texts) put_string(encoded, text);
  add_array_raw(key, GgufType::kString, texts.size(), encoded);
}

void GgufWriter::add_tensor(GgufTensorSpec spec, std::span<const std::byte> data) {
  add_tensor(std::move(spec), [data](const ByteSink& sink) { return sink(data); });
}

void GgufWriter::add_tensor(GgufTensorSpec spec, TensorProducer producer) {
  tensors_.push_back({std::move(spec), std::move(producer)});
}

Status GgufWriter::check() const {
  if (alignment_ < 8 || alignment_ > kGgufMaxAlignment || (alignment_ & (alignment_ - 1)) != 0)
    return fail_f(ErrorCode::kInvalidArgument, "alignment {} is not a power of two from 8 to {}", alignment_,
                  kGgufMaxAlignment);
  if (keys_.size() > kGgufMaxKeys || tensors_.size() > kGgufMaxTensors)
    return fail_f(ErrorCode::kInvalidArgument, "{} keys and {} tensors, at most {} of each are allowed", keys_.size(),
                  tensors_.size(), kGgufMaxKeys);
  std::set<std::string_view> names;
  for (const auto& key : keys_) {
    if (key.name.empty() || key.name.size() > kGgufMaxKeyLength || !names.insert(key.name).second)
      return fail_f(ErrorCode::kInvalidArgument, "key '{}' is empty, too long or given twice", printable(key.name));
  }
  names.clear();
  for (const auto& [spec, producer] : tensors_) {
    if (spec.name.empty() || spec.name.size() > kGgufMaxTensorNameLength || !names.insert(spec.name).second)
      return fail_f(ErrorCode::kInvalidArgument, "tensor '{}' is empty, too long or given twice", printable(spec.name));
    if (!tensor_bytes(spec))
      return fail_f(ErrorCode::kInvalidArgument, "tensor '{}' has a shape that {} does not allow", printable(spec.name),
                    format_info(spec.type).name);
  }
  return {};
}

Result<std::vector<std::byte>> GgufWriter::header() const {
  std::vector<std::byte> out;
  append(out, std::as_bytes(std::span(std::string_view("GGUF"))));
  put<uint32_t>(out, kVersion);
  put<uint64_t>(out, tensors_.size());
  put<uint64_t>(out, keys_.size());
  for (const auto& key : keys_) {
    put_string(out, key.name);
    append(out, key.encoded);
  }
  uint64_t offset = 0;
  for (const auto& [spec, producer] : tensors_) {
    put_string(out, spec.name);
    put<uint32_t>(out, static_cast<uint32_t>(spec.dims.size()));
    for (const uint64_t dim : spec.dims) put(out, dim);
    put<uint32_t>(out, format_info(spec.type).ggml_id);
    put<uint64_t>(out, offset);
    const auto end = checked_add(offset, *tensor_bytes(spec));
    const auto next = end ? checked_align_up(*end, alignment_) : std::nullopt;
    if (!next) return fail(ErrorCode::kInvalidArgument, "the tensors are larger than 2^64 bytes together");
    offset = *next;
  }
  return out;
}

Status GgufWriter::write(const ByteSink& sink) const {
  QUERN_CHECK_OK(check());
  QUERN_TRY(const auto head, header());
  QUERN_CHECK_OK(sink(head));
  QUERN_CHECK_OK(write_padding(sink, head.size(), alignment_));
  for (const auto& [spec, producer] : tensors_) {
    const uint64_t wanted = *tensor_bytes(spec);
    uint64_t written = 0;
    const auto too_many = [&](uint64_t n) {
      return fail_f(ErrorCode::kInvalidArgument, "tensor '{}' needs {} bytes, {} were given", printable(spec.name),
                    wanted, n);
    };
    QUERN_CHECK_OK(producer([&](std::span<const std::byte> piece) -> Status {
      if (piece.size() > wanted - written) return too_many(written + piece.size());
      written += piece.size();
      return sink(piece);
    }));
    if (written != wanted) return too_many(written);
    QUERN_CHECK_OK(write_padding(sink, written, alignment_));
  }
  return {};
}

Result<std::vector<std::byte>> GgufWriter::bytes() const {
  std::vector<std::byte> out;
  QUERN_CHECK_OK(write([&](std::span<const std::byte> piece) -> Status {
    append(out, piece);
    return {};
  }));
  return out;
}

std::vector<GgufWriter> GgufWriter::split(uint64_t max_tensor_bytes) const {
  std::vector<GgufWriter> parts;
  parts.emplace_back(alignment_);
  parts.back().keys_ = keys_;
  uint64_t used = 0;
  for (const auto& tensor : tensors_) {
    const uint64_t size = tensor_bytes(tensor.spec).value_or(0);  // a wrong shape is reported by write
    if (!parts.back().tensors_.empty() && (size > max_tensor_bytes || used > max_tensor_bytes - size)) {
      parts.emplace_back(alignment_);
      used = 0;
    }
    parts.back().tensors_.push_back(tensor);
    used += size;
  }
  if (parts.size() == 1) return parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i].add("split.no", static_cast<uint16_t>(i));
    parts[i].add("split.count", static_cast<uint16_t>(parts.size()));
    parts[i].add("split.tensors.count", static_cast<int32_t>(tensors_.size()));
  }
  return parts;
}

}  // namespace quern
