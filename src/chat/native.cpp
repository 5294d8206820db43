#include "chat/native.h"

#include "chat/operators.h"

namespace quern::jinja {
namespace {

std::string_view take_word(std::string_view& words) {
  const size_t end = words.find(' ');
  const std::string_view word = words.substr(0, end);
  words = end == std::string_view::npos ? std::string_view{} : words.substr(end + 1);
  return word;
}

const Native* find_in(std::span<const Native> table, std::string_view name) {
  for (const Native& row : table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

int64_t Call::integer(Runtime& rt, size_t i, int64_t fallback) const {
  if (!given_[i]) return fallback;
  const Value& v = values_[i];
  if (v.is_undefined()) rt.raise_undefined(v);
  if (!v.is_integral()) {
    rt.raise("TypeError", fmt::format("'{}' object cannot be interpreted as an integer", type_name(v)));
    return fallback;
  }
  return v.as_int();
}

std::string_view Call::text(Runtime& rt, size_t i, std::string_view fallback) const {
  if (!given_[i]) return fallback;
  const Value& v = values_[i];
  if (!v.is_string()) {
    rt.raise("TypeError", fmt::format("a str is needed, not '{}'", type_name(v)));
    return fallback;
  }
  return v.text();
}

bool Call::truth(Runtime& rt, size_t i) const {
  return given_[i] && quern::jinja::truth(rt, values_[i]);
}

bool bind(Runtime& rt, const Native& native, const Args& args, Call& call) {
  call.args_ = &args;
  if (native.params == "*") return true;
  size_t count = 0;
  size_t used_names = 0;
  for (std::string_view rest = native.params; !rest.empty(); ++count) {
    std::string_view name = take_word(rest);
    const bool positional_only = name.front() == '/';
    if (count < args.positional.size()) {
      call.values_[count] = args.positional[count];
      call.given_[count] = true;
    }
    if (positional_only) continue;
    for (const auto& [key, value] : args.named) {
      if (key != name) continue;
      if (call.given_[count]) {
        rt.raise("TypeError", fmt::format("{}() got multiple values for argument '{}'", native.name, name));
        return false;
      }
      call.values_[count] = value;
      call.given_[count] = true;
      ++used_names;
    }
  }
  if (args.positional.size() > count) {
    rt.raise("TypeError",
             fmt::format("{}() takes at most {} arguments ({} given)", native.name, count, args.positional.size()));
  } else if (used_names != args.named.size()) {
    rt.raise("TypeError", fmt::format("{}() got an unexpected keyword argument", native.name));
  }
  for (size_t i = 0; i < native.required; ++i) {
    if (!call.given_[i]) rt.raise("TypeError", fmt::format("{}() misses a required argument", native.name));
  }
  return !rt.failed();
}

Value invoke(Runtime& rt, const Native& native, const Value& self, const Args& args) {
  Call call;
  if (!rt.step() || !bind(rt, native, args, call)) return {};
  const Value result = native.run(rt, self, call);
  return rt.failed() ? Value() : result;
}

const Native* find_filter(std::string_view name) {
  for (auto table : {text_filters(), layout_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    if (const Native* row = find_in(table, name)) return row;
  }
  return nullptr;
}

std::string_view refusal_of(std::string_view name) {
  if (name == "random") return "random is refused: a template must give the same text each time";
  if (name == "lipsum") return "lipsum is refused: a template must give the same text each time";
  if (name == "urlize" || name == "pprint") return "this filter is not supported";
  return {};
}

}  // namespace quern::jinja
