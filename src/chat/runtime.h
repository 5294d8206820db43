// Runtime: what every operation of a render needs: the heap, the limits, the place, and the first error.
//
// Errors are sticky, as in a stream: raise() records the first one with the line being run and returns an undefined
// value; every later operation is harmless and its result is thrown away, loops end at their next step(). That keeps a
// table of a hundred filters free of plumbing. One Runtime per render, one thread.
#pragma once

#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/limits.h"
#include "chat/value.h"

namespace quern::jinja {

struct Native;

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime {
 public:
  Runtime(const TemplateLimits& limits, std::optional<std::tm> now) : limits_(limits), now_(now) {}

  // type is Python's name of the exception.
  Value raise(std::string_view type, std::string_view message);
  Value refuse(std::string_view limit);  // a limit is used up: kResource
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }

  // Counts work; false when the render has failed or the steps are used up.
  bool step(size_t n = 1) {
    steps_ += n;
    if (steps_ > limits_.max_steps) refuse("max_steps");
    return !failed();
  }
  // Whether `bytes` more may be made; to be asked before building what could be much larger than its parts.
  bool fits(size_t bytes);

  Value string(std::string text, bool markup = false);
  Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  Value sequence(Kind kind, std::vector<Value> items);
  DictObject* dict();
  Value iterator(std::string_view label, IteratorObject::Next next);
  // A method of `self`, or a global function when self is undefined.
  Value function(const Native* native, const Value& self);
  // An undefined value that says why when it is used.
  Value undefined(std::string message, bool security = false);
  // The error of using `value`, an undefined.
  Value raise_undefined(const Value& value);

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] const TemplateLimits& limits() const { return limits_; }
  [[nodiscard]] std::tm now() const;
  void set_line(uint32_t line) { line_ = line; }
  [[nodiscard]] uint32_t line() const { return line_; }

  // Guards native recursion: `Depth d(rt); if (!d) return ...`.
  class Depth {
   public:
    explicit Depth(Runtime& rt) : rt_(rt) {
      if (++rt_.depth_ > rt_.limits_.max_depth) rt_.refuse("max_depth");
    }
    ~Depth() { --rt_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    explicit operator bool() const { return !rt_.failed(); }

   private:
    Runtime& rt_;
  };

 private:
  TemplateLimits limits_;
  std::optional<std::tm> now_;
  Heap heap_;
  std::optional<Error> error_;
  size_t steps_ = 0;
  size_t depth_ = 0;
  uint32_t line_ = 1;
};

// Walks any iterable as Python's iter() does. Start with begin(), which raises a TypeError for other values.
class Iteration {
 public:
  bool begin(Runtime& rt, const Value& iterable);
  bool next(Runtime& rt, Value& out);  // false at the end, and on an error

 private:
  Value source_;
  size_t position_ = 0;
};

// All items; a failed render gives those so far.
std::vector<Value> items_of(Runtime& rt, const Value& iterable);

}  // namespace quern::jinja
