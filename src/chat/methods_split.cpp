// str's methods that take text apart.
#include "chat/native.h"
#include "chat/operators.h"
#include "chat/text.h"

namespace quern::jinja {
namespace {

Value list_of(Runtime& rt, const Value& self, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  for (std::string_view part : parts) {
    items.push_back(rt.string(std::string(part), is_markup(self)));
    if (!rt.step()) return {};
  }
  return rt.list(std::move(items));
}

// Empty separator: ValueError.
std::string_view separator(Runtime& rt, const Call& call) {
  const std::string_view s = call.text(rt, 0, " ");
  if (s.empty()) rt.raise("ValueError", "empty separator");
  return s;
}

template <bool kRight>
Value split(Runtime& rt, const Value& self, const Call& call) {
  const int64_t limit = call.integer(rt, 1, -1);
  if (!rt.step(self.text().size() / 16) || !rt.fits(self.text().size())) return {};
  if (!call.set(0)) return list_of(rt, self, split_space(self.text(), limit, kRight));
  const std::string_view s = separator(rt, call);
  return rt.failed() ? Value() : list_of(rt, self, split_at(self.text(), s, limit, kRight));
}

Value split_lines_method(Runtime& rt, const Value& self, const Call& call) {
  return list_of(rt, self, split_lines(self.text(), call.truth(rt, 0)));
}

template <bool kRight>
Value partition(Runtime& rt, const Value& self, const Call& call) {
  const std::string_view s = separator(rt, call);
  if (rt.failed()) return {};
  const std::string_view text = self.text();
  const size_t at = kRight ? text.rfind(s) : text.find(s);
  std::string_view parts[3] = {text, "", ""};
  if (at != std::string_view::npos) {
    parts[0] = text.substr(0, at);
    parts[1] = s;
    parts[2] = text.substr(at + s.size());
  } else if (kRight) {
    std::swap(parts[0], parts[2]);
  }
  std::vector<Value> items;
  for (std::string_view part : parts) items.push_back(rt.string(std::string(part), is_markup(self)));
  return rt.tuple(std::move(items));
}

constexpr Native kMethods[] = {
    {"partition", "/sep", 1, partition<false>},        {"rpartition", "/sep", 1, partition<true>},
    {"rsplit", "sep maxsplit", 0, split<true>},        {"split", "sep maxsplit", 0, split<false>},
    {"splitlines", "keepends", 0, split_lines_method},
};

}  // namespace

std::span<const Native> split_methods() {
  return kMethods;
}

}  // namespace quern::jinja
