// GgufView::parse: the one place that believes nothing.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "gguf/printable.h"
#include "gguf/reader.h"

namespace quern {
namespace {

constexpr std::string_view kMagic = "GGUF";
// The smallest encodings bound how many entries the rest of a file can hold.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;             // name length, name, type, value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name length, name, n_dims, one dim, type, offset
constexpr uint64_t kMinStringBytes = 8;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What people pass by mistake, by its first bytes.
std::string_view guess(std::string_view head) {
  if (head.starts_with("version https://git-lfs")) return "this is a Git LFS pointer: fetch the file itself";
  if (head.starts_with("<!DOC") || head.starts_with("<html") || head.starts_with("<HTML"))
    return "this is a web page: the download link did not lead to the file";
  if (head.starts_with("lmgg") || head.starts_with("tjgg") || head.starts_with("fmgg"))
    return "this is a GGML file of before 2023-08: convert the model again";
  if (head.starts_with("PK")) return "this is a zip archive (or PyTorch checkpoint): convert it to GGUF";
  if (head.size() > 8 && head[8] == '{') return "this looks like safetensors: convert it to GGUF";
  return "this is not a GGUF file";
}

}  // namespace

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string file_name) : bytes_(bytes), in_(bytes) {
    view_.file_name_ = std::move(file_name);
    view_.file_bytes_ = bytes.size();
  }

  Result<GgufView> run() {
    QUERN_CHECK_OK(header());
    QUERN_CHECK_OK(keys());
    QUERN_CHECK_OK(alignment());
    QUERN_CHECK_OK(tensor_infos());
    QUERN_CHECK_OK(tensor_data());
    QUERN_CHECK_OK(view_.build_index());
    return std::move(view_);
  }

 private:
  template <class... Args>
  tl::unexpected<Error> error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, fmt::format("{}: {}", view_.file_name_, fmt::format(format, std::forward<Args>(args)...)));
  }

  // ByteReader's own message, with the file and the likeliest reason.
  tl::unexpected<Error> torn(const Error& short_read) const {
    return error(ErrorCode::kCorrupt, "{}: the file is incomplete or damaged, download it again", short_read.message);
  }

  template <class T>
  Result<T> read(std::string_view what) {
    auto value = in_.read<T>(what);
    if (!value) return torn(value.error());
    return *value;
  }

  // A length-prefixed string of at most `max` bytes.
  Result<std::string_view> string(std::string_view what, uint64_t max) {
    const uint64_t start = in_.offset();
    QUERN_TRY(const uint64_t length, read<uint64_t>(fmt::format("length of {}", what)));
    if (length > max)
      return error(ErrorCode::kCorrupt, "{} at byte {} has length {}, at most {} are allowed", what, start, length,
                   max);
    auto text = in_.take(length, what);
    if (!text) return torn(text.error());
    return as_text(*text);
  }

  Status header() {
    if (bytes_.empty()) return error(ErrorCode::kCorrupt, "the file is empty");
    const auto head = as_text(bytes_.first(std::min<size_t>(bytes_.size(), 32)));
    if (!kMagic.starts_with(head.substr(0, kMagic.size())))
      return error(ErrorCode::kCorrupt, "byte 0 is '{}', not '{}': {}", printable(head.substr(0, kMagic.size())),
                   kMagic, guess(head));
    if (auto magic = in_.take(kMagic.size(), "magic"); !magic) return torn(magic.error());
    QUERN_TRY(view_.version_, read<uint32_t>("version"));
    const uint32_t version = view_.version_;
    if (version != 0 && (version & 0xffffu) == 0)
      return error(ErrorCode::kUnsupported,
                   "GGUF version {} in big-endian byte order (byte 4): this build reads little-endian files",
                   __builtin_bswap32(version));
    if (version == 1)
      return error(ErrorCode::kUnsupported,
                   "GGUF version 1 (byte 4) is not read: convert the model again, to version 3");
    if (version < 2) return error(ErrorCode::kCorrupt, "GGUF version {} (byte 4) does not exist", version);
    if (version > 3)
      return error(ErrorCode::kUnsupported, "GGUF version {} (byte 4) is newer than this build, which reads 2 and 3",
                   version);
    QUERN_TRY(n_tensors_, count("tensors", kGgufMaxTensors, kMinTensorBytes));
    QUERN_TRY(n_keys_, count("keys", kGgufMaxKeys, kMinKeyBytes));
    return {};
  }

  // A declared number of entries that the limits and the bytes left allow.
  Result<uint64_t> count(std::string_view what, uint64_t max, uint64_t min_bytes) {
    const uint64_t start = in_.offset();
    QUERN_TRY(const uint64_t n, read<uint64_t>(fmt::format("number of {}", what)));
    if (n > max)
      return error(ErrorCode::kCorrupt, "byte {} declares {} {}, at most {} are allowed", start, n, what, max);
    if (n > in_.remaining() / min_bytes)
      return error(ErrorCode::kCorrupt,
                   "byte {} declares {} {}, which {} remaining bytes cannot hold: the file is incomplete or damaged, "
                   "download it again",
                   start, n, what, in_.remaining());
    return n;
  }

  Status keys() {
    view_.keys_.reserve(n_keys_);
    for (uint64_t i = 0; i < n_keys_; ++i) {
      const uint64_t start = in_.offset();
      QUERN_TRY(const auto name, string(fmt::format("name of key {} of {}", i + 1, n_keys_), kGgufMaxKeyLength));
      if (name.empty()) return error(ErrorCode::kCorrupt, "key {} of {} at byte {} has no name", i + 1, n_keys_, start);
      QUERN_TRY(const auto value, this->value(name));
      view_.keys_.push_back({name, value});
    }
    return {};
  }

  Result<GgufType> value_type(std::string_view key) {
    const uint64_t start = in_.offset();
    QUERN_TRY(const uint32_t raw, read<uint32_t>(fmt::format("type of key {}", printable(key))));
    const auto type = static_cast<GgufType>(raw);
    if (gguf_scalar_bytes(type) == 0 && type != GgufType::kString && type != GgufType::kArray)
      return error(ErrorCode::kCorrupt, "key {} at byte {} has value type {}, which does not exist", printable(key),
                   start, raw);
    return type;
  }

  Result<GgufValue> value(std::string_view key) {
    QUERN_TRY(const GgufType type, value_type(key));
    if (type == GgufType::kArray) return array(key);
    QUERN_TRY(const auto bytes, elements(key, type, 1));
    return GgufValue(type, type, 1, bytes);
  }

  Result<GgufValue> array(std::string_view key) {
    const uint64_t start = in_.offset();
    QUERN_TRY(const GgufType element, value_type(key));
    if (element == GgufType::kArray)
      return error(ErrorCode::kUnsupported, "key {} at byte {} is an array of arrays, which this build does not read",
                   printable(key), start);
    QUERN_TRY(const uint64_t n, read<uint64_t>(fmt::format("array length of key {}", printable(key))));
    QUERN_TRY(const auto bytes, elements(key, element, n));
    return GgufValue(GgufType::kArray, element, n, bytes);
  }

  // The bytes of n consecutive values, every one checked.
  Result<std::span<const std::byte>> elements(std::string_view key, GgufType type, uint64_t n) {
    const uint64_t start = in_.offset();
    const bool strings = type == GgufType::kString;
    if (n > in_.remaining() / (strings ? kMinStringBytes : gguf_scalar_bytes(type)))
      return error(ErrorCode::kCorrupt,
                   "key {} at byte {} declares {} values of type {}, only {} bytes are left: the file is incomplete or "
                   "damaged, download it again",
                   printable(key), start, n, gguf_type_name(type), in_.remaining());
    if (strings) {
      const std::string what = fmt::format("a string of key {}", printable(key));
      for (uint64_t i = 0; i < n; ++i) {
        auto length = in_.read<uint64_t>(what);
        if (!length) return torn(length.error());
        auto text = in_.take(*length, what);
        if (!text) return torn(text.error());
      }
      return bytes_.subspan(start, in_.offset() - start);
    }
    auto bytes = in_.take(n * gguf_scalar_bytes(type), "values");
    if (!bytes) return torn(bytes.error());
    if (type == GgufType::kBool) {
      const auto bad = std::find_if(bytes->begin(), bytes->end(), [](std::byte b) { return b > std::byte{1}; });
      if (bad != bytes->end())
        return error(ErrorCode::kCorrupt, "key {} at byte {} is a bool of value {}, not 0 or 1", printable(key),
                     start + static_cast<uint64_t>(bad - bytes->begin()), static_cast<int>(*bad));
    }
    return *bytes;
  }

  Status alignment() {
    constexpr std::string_view kKey = "general.alignment";
    for (const auto& key : view_.keys_) {
      if (key.name != kKey) continue;
      const auto value = key.value.as_u64();
      const auto at = static_cast<uint64_t>(key.value.bytes().data() - bytes_.data());
      if (!value)
        return error(ErrorCode::kCorrupt, "key {} at byte {} is a {}, not an unsigned integer", kKey, at,
                     gguf_type_name(key.value.type()));
      if (*value < 8 || *value > kGgufMaxAlignment || (*value & (*value - 1)) != 0)
        return error(ErrorCode::kCorrupt, "key {} at byte {} is {}, not a power of two from 8 to {}", kKey, at, *value,
                     kGgufMaxAlignment);
      view_.alignment_ = static_cast<uint32_t>(*value);
    }
    return {};
  }

  Status tensor_infos() {
    view_.tensors_.reserve(n_tensors_);
    for (uint64_t i = 0; i < n_tensors_; ++i) {
      const uint64_t start = in_.offset();
      const std::string which = fmt::format("tensor {} of {}", i + 1, n_tensors_);
      QUERN_TRY(const auto name, string(fmt::format("name of {}", which), kGgufMaxTensorNameLength));
      if (name.empty()) return error(ErrorCode::kCorrupt, "{} at byte {} has no name", which, start);
      GgufTensor tensor;
      tensor.name = name;
      QUERN_CHECK_OK(shape(tensor));
      QUERN_CHECK_OK(format_and_offset(tensor));
      view_.tensors_.push_back(tensor);
    }
    return {};
  }

  Status shape(GgufTensor& tensor) {
    const std::string which = fmt::format("tensor {}", printable(tensor.name));
    const uint64_t start = in_.offset();
    QUERN_TRY(tensor.n_dims, read<uint32_t>(fmt::format("number of dimensions of {}", which)));
    if (tensor.n_dims < 1 || tensor.n_dims > kGgufMaxDims)
      return error(ErrorCode::kCorrupt, "{} at byte {} has {} dimensions, 1 to {} are allowed", which, start,
                   tensor.n_dims, kGgufMaxDims);
    uint64_t product = 1;
    for (uint32_t d = 0; d < tensor.n_dims; ++d) {
      const uint64_t at = in_.offset();
      QUERN_TRY(tensor.dims[d], read<uint64_t>(fmt::format("dimension {} of {}", d, which)));
      if (tensor.dims[d] == 0) return error(ErrorCode::kCorrupt, "{} at byte {} has dimension {} of 0", which, at, d);
      const auto next = checked_mul(product, tensor.dims[d]);
      if (!next || *next > uint64_t{INT64_MAX})
        return error(ErrorCode::kCorrupt, "{} at byte {} has more than 2^63 elements", which, at);
      product = *next;
    }
    return {};
  }

  Status format_and_offset(GgufTensor& tensor) {
    const std::string which = fmt::format("tensor {}", printable(tensor.name));
    const uint64_t type_at = in_.offset();
    QUERN_TRY(const uint32_t id, read<uint32_t>(fmt::format("type of {}", which)));
    const FormatInfo* format = find_format(id);
    if (!format)
      return error(ErrorCode::kUnsupported, "{} at byte {} has type number {}, which this build does not know", which,
                   type_at, id);
    tensor.type = format->type;
    if (tensor.dims[0] % format->block_elems != 0)
      return error(ErrorCode::kCorrupt, "{} at byte {} has rows of {} elements, {} needs a multiple of {}", which,
                   type_at, tensor.dims[0], format->name, format->block_elems);
    const uint64_t at = in_.offset();
    QUERN_TRY(tensor.file_offset, read<uint64_t>(fmt::format("offset of {}", which)));
    if (tensor.file_offset % view_.alignment_ != 0)
      return error(ErrorCode::kCorrupt, "{} at byte {} has offset {}, not a multiple of the alignment {}", which, at,
                   tensor.file_offset, view_.alignment_);
    return {};
  }

  // file_offset is relative to the data section until here.
  Status tensor_data() {
    if (view_.tensors_.empty()) return {};
    const auto data_start = checked_align_up(in_.offset(), view_.alignment_);
    for (auto& tensor : view_.tensors_) {
      const auto row = row_bytes(tensor.type, tensor.dims[0]);
      const auto size = row ? checked_mul(*row, tensor.n_rows()) : std::nullopt;
      const auto begin = data_start ? checked_add(*data_start, tensor.file_offset) : std::nullopt;
      const auto end = size && begin ? checked_add(*begin, *size) : std::nullopt;
      if (!end)
        return error(ErrorCode::kCorrupt, "tensor {} with offset {} ends beyond 2^64", printable(tensor.name),
                     tensor.file_offset);
      if (*end > bytes_.size())
        return error(ErrorCode::kCorrupt, "tensor {} ends at byte {}, the file has {}: the download is incomplete",
                     printable(tensor.name), *end, bytes_.size());
      tensor.file_offset = *begin;
      tensor.data = bytes_.subspan(*begin, *size);
    }
    return no_overlap();
  }

  Status no_overlap() const {
    std::vector<const GgufTensor*> order;
    order.reserve(view_.tensors_.size());
    for (const auto& tensor : view_.tensors_) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->file_offset < b->file_offset; });
    for (size_t i = 1; i < order.size(); ++i) {
      const auto& a = *order[i - 1];
      const auto& b = *order[i];
      if (b.file_offset < a.file_offset + a.data.size())
        return error(ErrorCode::kCorrupt, "tensors {} and {} overlap at byte {}", printable(a.name), printable(b.name),
                     b.file_offset);
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  ByteReader in_;
  GgufView view_;
  uint64_t n_tensors_ = 0;
  uint64_t n_keys_ = 0;
};

Result<GgufView> GgufView::parse(std::span<const std::byte> bytes, std::string file_name) {
  return GgufParser(bytes, std::move(file_name)).run();
}

}  // namespace quern
