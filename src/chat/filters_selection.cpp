// map, select, reject, selectattr, rejectattr: lazy, as Jinja2's generators are.
#include "chat/attribute_path.h"
#include "chat/native.h"
#include "chat/operators.h"

namespace quern::jinja {
namespace {

// The name of a filter or test at args[at], and the arguments behind it.
const Native* take_name(Runtime& rt, const Args& args, size_t at, bool filter, Args& rest) {
  const Value& name = args.positional[at];
  const Native* native = nullptr;
  if (name.is_string()) native = filter ? find_filter(name.text()) : find_test(name.text());
  if (!native) {
    rt.raise("TemplateRuntimeError", fmt::format("No {} named {}.", filter ? "filter" : "test", repr_of(rt, name)));
  }
  rest.positional.assign(args.positional.begin() + static_cast<long>(at) + 1, args.positional.end());
  rest.named = args.named;
  return native;
}

Value empty_generator(Runtime& rt) {
  return rt.iterator("generator", [](Runtime&, Value&) { return false; });
}

Value map_attribute(Runtime& rt, Iteration it, const Args& args) {
  Value name;
  Value fallback = Value::none();
  for (const auto& [key, value] : args.named) {
    if (key == "attribute") {
      name = value;
    } else if (key == "default") {
      fallback = value;
    } else {
      return rt.raise("FilterArgumentError", fmt::format("Unexpected keyword argument '{}'", key));
    }
  }
  const AttributePath path(rt, name);
  return rt.iterator("generator", [it, path, fallback](Runtime& r, Value& out) mutable {
    if (!it.next(r, out)) return false;
    out = path.get(r, out, fallback);
    return true;
  });
}

Value map(Runtime& rt, const Value& self, const Call& call) {
  const Args& args = call.args();
  if (!truth(rt, self)) return empty_generator(rt);
  Iteration it;
  if (!it.begin(rt, self)) return {};
  if (args.positional.empty()) {
    for (const auto& named : args.named) {
      if (named.first == "attribute") return map_attribute(rt, it, args);
    }
    return rt.raise("FilterArgumentError", "map requires a filter argument");
  }
  Args rest;
  const Native* filter = take_name(rt, args, 0, true, rest);
  if (!filter) return {};
  return rt.iterator("generator", [it, filter, rest](Runtime& r, Value& out) mutable {
    if (!it.next(r, out)) return false;
    out = invoke(r, *filter, out, rest);
    return true;
  });
}

template <bool kKeep, bool kByAttribute>
Value choose(Runtime& rt, const Value& self, const Call& call) {
  const Args& args = call.args();
  if (!truth(rt, self)) return empty_generator(rt);
  Iteration it;
  if (!it.begin(rt, self)) return {};
  if (kByAttribute && args.positional.empty()) {
    return rt.raise("FilterArgumentError", "Missing parameter for attribute name");
  }
  const AttributePath path(rt, kByAttribute ? args.positional[0] : Value());
  const size_t at = kByAttribute ? 1 : 0;
  Args rest;
  const Native* test = args.positional.size() > at ? take_name(rt, args, at, false, rest) : nullptr;
  if (rt.failed()) return {};
  return rt.iterator("generator", [it, path, test, rest](Runtime& r, Value& out) mutable {
    while (it.next(r, out)) {
      const Value v = path.get(r, out);
      if (r.failed()) return false;
      const bool yes = truth(r, test ? invoke(r, *test, v, rest) : v);
      if (r.failed()) return false;
      if (yes == kKeep) return true;
    }
    return false;
  });
}

constexpr Native kFilters[] = {
    {"map", "*", 0, lazy<map>},
    {"reject", "*", 0, lazy<choose<false, false>>},
    {"rejectattr", "*", 0, lazy<choose<false, true>>},
    {"select", "*", 0, lazy<choose<true, false>>},
    {"selectattr", "*", 0, lazy<choose<true, true>>},
};

}  // namespace

std::span<const Native> selection_filters() {
  return kFilters;
}

}  // namespace quern::jinja
