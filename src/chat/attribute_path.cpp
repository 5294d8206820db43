#include "chat/attribute_path.h"

#include "chat/literals.h"
#include "chat/operators.h"
#include "chat/text.h"
#include "chat/unicode.h"

namespace quern::jinja {

AttributePath::AttributePath(Runtime& rt, const Value& attribute) {
  if (attribute.is_none() || attribute.is_undefined()) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  for (std::string_view part : split_at(attribute.text(), ".", -1, false)) {
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    const auto number = digits ? parse_int(part, 10) : std::nullopt;
    parts_.push_back(number && !number->overflow ? Value::integer(number->value) : rt.string(std::string(part)));
  }
}

Value AttributePath::get(Runtime& rt, Value item, const Value& fallback) const {
  const bool has_fallback = !fallback.is_none() && !fallback.is_undefined();
  for (const Value& part : parts_) {
    if (!rt.step()) return {};
    item = get_item(rt, item, part);
    if (has_fallback && item.is_undefined()) item = fallback;
  }
  return item;
}

Value ignore_case(Runtime& rt, const Value& v) {
  return v.is_string() ? rt.string(to_lower(v.text())) : v;
}

}  // namespace quern::jinja
