// Native: a filter, test, method or global function in C++, as one row of a table.
//
// A row names the parameters behind the value that the function is applied to: separated by spaces, a leading '/' marks
// one that is positional only, "*" alone means that the function takes what comes (Call::args). The tables are constant
// and sorted by nothing; a template resolves its filters and tests once, when it is parsed.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "chat/runtime.h"

namespace quern::jinja {

class Call {
 public:
  static constexpr size_t kMaxParams = 6;

  // An undefined value when the argument was not given.
  [[nodiscard]] const Value& arg(size_t i) const { return values_[i]; }
  [[nodiscard]] bool has(size_t i) const { return given_[i]; }
  // Given and not None: how Python's methods take "no limit", "no default".
  [[nodiscard]] bool set(size_t i) const { return given_[i] && !values_[i].is_none(); }
  [[nodiscard]] const Args& args() const { return *args_; }

  // The argument converted, or `fallback` when not given; a TypeError when it has another type.
  [[nodiscard]] int64_t integer(Runtime& rt, size_t i, int64_t fallback) const;
  [[nodiscard]] std::string_view text(Runtime& rt, size_t i, std::string_view fallback) const;
  [[nodiscard]] bool truth(Runtime& rt, size_t i) const;

  // The same call with arguments that live elsewhere.
  [[nodiscard]] Call with(const Args& args) const {
    Call copy = *this;
    copy.args_ = &args;
    return copy;
  }

 private:
  friend bool bind(Runtime& rt, const Native& native, const Args& args, Call& call);
  std::array<Value, kMaxParams> values_;
  std::array<bool, kMaxParams> given_{};
  const Args* args_ = nullptr;
};

struct Native {
  std::string_view name;
  std::string_view params;
  size_t required;
  Value (*run)(Runtime& rt, const Value& self, const Call& call);
};

struct FunctionObject : Object {
  FunctionObject(const Native* n, const Value& s) : native(n), self(s) {}
  const Native* native;
  Value self;
};

// Makes a filter a generator: it runs, and fails, when its first item is asked for.
template <Value (*Run)(Runtime&, const Value&, const Call&)>
Value lazy(Runtime& rt, const Value& self, const Call& call) {
  Iteration items;
  bool started = false;
  return rt.iterator("generator", [=, args = call.args()](Runtime& r, Value& out) mutable {
    if (!started && !items.begin(r, Run(r, self, call.with(args)))) return false;
    started = true;
    return !r.failed() && items.next(r, out);
  });
}

// Matches arguments to parameters; false with a TypeError when they do not fit.
bool bind(Runtime& rt, const Native& native, const Args& args, Call& call);
Value invoke(Runtime& rt, const Native& native, const Value& self, const Args& args);

// The tables. Null when there is no such name.
const Native* find_filter(std::string_view name);
const Native* find_test(std::string_view name);
const Native* find_global(std::string_view name);
const Native* find_method(const Value& self, std::string_view name);
// Why a filter or function that Jinja2 has is refused here; empty for other names.
std::string_view refusal_of(std::string_view name);

// Parts of those tables, one per file.
std::span<const Native> text_filters();
std::span<const Native> layout_filters();
std::span<const Native> number_filters();
std::span<const Native> sequence_filters();
std::span<const Native> selection_filters();
std::span<const Native> string_methods();
std::span<const Native> split_methods();

}  // namespace quern::jinja
