// Values of the template language: Python's, as far as a template can hold them.
//
// A Value is 16 bytes, trivially copyable, and owns nothing: objects belong to the Heap that made them and live until
// it is destroyed. Everything but namespaces, iterators, cyclers and joiners is immutable once built, which is also
// what Jinja2's ImmutableSandboxedEnvironment promises. A template's constants live in the template's own Heap and are
// only read, so that several threads may render it; all else is confined to one render.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace quern::jinja {

class Runtime;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kView,  // dict.keys(), values(), items()
  kDict,
  kRange,
  kIterator,  // generators and iterators: one pass
  kNamespace,
  kFunction,  // a global, or a bound method
  kMacro,
  kLoop,
  kCycler,
  kJoiner,
};

struct Object {
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

struct StringObject;
struct SequenceObject;
struct DictObject;
struct RangeObject;
struct IteratorObject;
struct NamespaceObject;
struct FunctionObject;
struct UndefinedObject;

class Value {
 public:
  Value() : kind_(Kind::kUndefined), object_(nullptr) {}
  Value(Kind kind, Object* object) : kind_(kind), object_(object) {}
  static Value none() { return {Kind::kNone, nullptr}; }
  static Value boolean(bool v) {
    Value r(Kind::kBool, nullptr);
    r.int_ = v;
    return r;
  }
  static Value integer(int64_t v) {
    Value r(Kind::kInt, nullptr);
    r.int_ = v;
    return r;
  }
  static Value real(double v) {
    Value r(Kind::kFloat, nullptr);
    r.float_ = v;
    return r;
  }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is(Kind kind) const { return kind_ == kind; }
  [[nodiscard]] bool is_undefined() const { return kind_ == Kind::kUndefined; }
  [[nodiscard]] bool is_none() const { return kind_ == Kind::kNone; }
  [[nodiscard]] bool is_string() const { return kind_ == Kind::kString; }
  [[nodiscard]] bool is_dict() const { return kind_ == Kind::kDict; }
  [[nodiscard]] bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  [[nodiscard]] bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  // A list, a tuple or a dict view: what seq() may be asked of.
  [[nodiscard]] bool is_seq() const { return kind_ >= Kind::kList && kind_ <= Kind::kView; }

  // Each needs the kind that it names.
  [[nodiscard]] int64_t as_int() const { return int_; }
  [[nodiscard]] double as_double() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_); }
  [[nodiscard]] Object* object() const { return object_; }
  [[nodiscard]] const StringObject& string() const;
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] const std::vector<Value>& seq() const;
  [[nodiscard]] DictObject& dict() const;
  [[nodiscard]] RangeObject& range() const;
  template <class T>
  [[nodiscard]] T& as() const {
    return *static_cast<T*>(object_);
  }

 private:
  Kind kind_;
  union {
    int64_t int_;
    double float_;
    Object* object_;
  };
};

struct StringObject : Object {
  StringObject(std::string t, bool is_markup);
  std::string text;
  size_t length;  // in code points
  bool markup;    // markupsafe's Markup: what |safe and |escape give
  [[nodiscard]] bool ascii() const { return length == text.size(); }
};

struct SequenceObject : Object {
  explicit SequenceObject(std::vector<Value> values) : items(std::move(values)) {}
  std::vector<Value> items;
  std::string_view label;  // kView: dict_keys, dict_values, dict_items
  bool group = false;      // a (grouper, list) pair of groupby, with these attributes
};

// Insertion-ordered, as Python's. Keys are hashable values; lookup is by an index beside the entries.
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;
  // The value of `key`, null when absent or not hashable.
  [[nodiscard]] const Value* find(Runtime& rt, const Value& key) const;
  [[nodiscard]] const Value* find(std::string_view key) const;
  // False (and a TypeError) when the key is not hashable.
  bool set(Runtime& rt, const Value& key, const Value& value);

 private:
  [[nodiscard]] int64_t locate(Runtime& rt, const Value& key, size_t hash) const;
  std::unordered_multimap<size_t, uint32_t> index_;
};

struct RangeObject : Object {
  RangeObject(int64_t b, int64_t e, int64_t s) : start(b), stop(e), step(s) {}
  int64_t start, stop, step;
  [[nodiscard]] int64_t size() const;
  [[nodiscard]] int64_t at(int64_t i) const;  // 0 <= i < size()
};

struct IteratorObject : Object {
  using Next = std::function<bool(Runtime&, Value&)>;  // false at the end or on an error
  IteratorObject(std::string_view name, Next n) : label(name), next(std::move(n)) {}
  std::string_view label;
  Next next;
};

struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> fields;
  [[nodiscard]] const Value* find(std::string_view name) const;
  void set(std::string_view name, const Value& value);
};

struct CyclerObject : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  bool used = false;
};

struct UndefinedObject : Object {
  UndefinedObject(std::string m, bool s) : message(std::move(m)), security(s) {}
  std::string message;
  bool security;
};

// Owns the objects of one render (or a template's constants) and counts their bytes; freed all at once.
class Heap {
 public:
  template <class T, class... A>
  T* make(size_t extra_bytes, A&&... args) {
    auto owned = std::make_unique<T>(std::forward<A>(args)...);
    T* raw = owned.get();
    objects_.push_back(std::move(owned));
    used_ += sizeof(T) + sizeof(void*) + extra_bytes;
    return raw;
  }
  void charge(size_t bytes) { used_ += bytes; }
  [[nodiscard]] size_t used() const { return used_; }

 private:
  std::vector<std::unique_ptr<Object>> objects_;
  size_t used_ = 0;
};

inline const StringObject& Value::string() const {
  return *static_cast<const StringObject*>(object_);
}
inline std::string_view Value::text() const {
  return string().text;
}
inline const std::vector<Value>& Value::seq() const {
  return static_cast<const SequenceObject*>(object_)->items;
}
inline DictObject& Value::dict() const {
  return *static_cast<DictObject*>(object_);
}
inline RangeObject& Value::range() const {
  return *static_cast<RangeObject*>(object_);
}

// The name that Python gives the value's type.
[[nodiscard]] std::string_view type_name(const Value& value);

}  // namespace quern::jinja
