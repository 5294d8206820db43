#include <array>

#include "base/checked.h"
#include "quant/format.h"

namespace quern {

namespace formats_detail {
#define QUERN_FORMAT(enumerator, name, id) FormatInfo name();
#include "quant/catalog.def"
#undef QUERN_FORMAT
}  // namespace formats_detail

namespace {

FormatInfo row(TensorType type, uint32_t id, std::string_view name, FormatInfo info) {
  info.type = type;
  info.ggml_id = id;
  info.name = name;
  return info;
}

}  // namespace

std::span<const FormatInfo> formats() {
#define QUERN_FORMAT(enumerator, name, id) row(TensorType::enumerator, id, #name, formats_detail::name()),
  static const auto table = std::to_array<FormatInfo>({
#include "quant/catalog.def"
  });
#undef QUERN_FORMAT
  return table;
}

const FormatInfo& format_info(TensorType type) {
  return formats()[static_cast<size_t>(type)];
}

const FormatInfo* find_format(uint32_t ggml_id) {
  for (const auto& info : formats())
    if (info.ggml_id == ggml_id) return &info;
  return nullptr;
}

const FormatInfo* find_format(std::string_view name) {
  for (const auto& info : formats())
    if (info.name == name) return &info;
  return nullptr;
}

std::optional<uint64_t> row_bytes(TensorType type, uint64_t n_elems) {
  const FormatInfo& info = format_info(type);
  if (n_elems % info.block_elems != 0) return std::nullopt;
  return checked_mul(n_elems / info.block_elems, info.block_bytes);
}

}  // namespace quern
