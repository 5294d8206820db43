#include "gguf/describe.h"

#include <fmt/format.h>

#include <algorithm>

namespace quern {
namespace {

// Bytes of the valid UTF-8 sequence that `text` begins with; 0 when there is none.
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (n == 0 || n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, beyond U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf0 && byte(1) < 0x90) ||
      (lead == 0xf4 && byte(1) > 0x8f))
    return 0;
  return n;
}

std::string quote(std::string_view text, size_t max_text) {
  std::string out = "\"";
  size_t i = 0;
  while (i < text.size() && i < max_text) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = utf8_sequence(text.substr(i));
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (n == 0 || c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += text.substr(i, n);
    }
    i += std::max<size_t>(n, 1);
  }
  out += i < text.size() ? "\"..." : "\"";
  return out;
}

std::string scalar_text(const GgufValue& value, size_t max_text) {
  if (const auto text = value.as_string()) return quote(*text, max_text);
  if (const auto flag = value.as_bool()) return *flag ? "true" : "false";
  if (const auto number = value.as_u64()) return fmt::format("{}", *number);
  if (const auto number = value.as_i64()) return fmt::format("{}", *number);
  // The shortest text of the value in its own precision.
  if (value.type() == GgufType::kFloat32) return fmt::format("{}", *value.as_f32());
  return fmt::format("{}", *value.as_f64());
}

}  // namespace

std::string render_value(const GgufValue& value, size_t max_items, size_t max_text) {
  if (!value.is_array()) return scalar_text(value, max_text);
  std::string out = "[";
  const size_t n = std::min(value.size(), max_items);
  auto text = value.strings().begin();
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) out += ", ";
    if (value.element_type() == GgufType::kString) {
      out += quote(*text++, max_text);
    } else {
      out += scalar_text(value.at(i), max_text);
    }
  }
  if (n < value.size()) out += n > 0 ? ", ..." : "...";
  return out + "]";
}

GgufSummary describe(const GgufView& view) {
  GgufSummary out;
  out.architecture = view.get_string("general.architecture", "").value_or("");
  out.name = view.get_string("general.name", "").value_or("");
  out.version = view.version();
  out.alignment = view.alignment();
  out.parts = view.n_parts();
  out.file_bytes = view.file_bytes();
  out.tensors = view.tensors().size();
  for (const auto& tensor : view.tensors()) {
    auto row = std::find_if(out.types.begin(), out.types.end(), [&](const auto& t) { return t.type == tensor.type; });
    if (row == out.types.end())
      row = out.types.insert(row, GgufTypeCount{tensor.type, format_info(tensor.type).name, 0, 0, 0});
    row->tensors += 1;
    row->parameters += tensor.n_elements();
    row->bytes += tensor.data.size();
    out.parameters += tensor.n_elements();
    out.tensor_bytes += tensor.data.size();
  }
  std::sort(out.types.begin(), out.types.end(),
            [](const auto& a, const auto& b) { return a.bytes != b.bytes ? a.bytes > b.bytes : a.type < b.type; });
  if (out.parameters > 0)
    out.bits_per_weight = 8.0 * static_cast<double>(out.tensor_bytes) / static_cast<double>(out.parameters);
  for (const auto& [name, value] : view.keys()) {
    std::string type(gguf_type_name(value.type()));
    if (value.is_array()) type = fmt::format("array of {}[{}]", gguf_type_name(value.element_type()), value.size());
    out.keys.push_back({std::string(name), std::move(type), render_value(value)});
  }
  return out;
}

}  // namespace quern
