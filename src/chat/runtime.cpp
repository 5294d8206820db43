#include "chat/runtime.h"

#include "chat/native.h"
#include "chat/unicode.h"

namespace quern::jinja {
namespace {

constexpr size_t kBytesPerStep = 64;

}  // namespace

Value Runtime::raise(std::string_view type, std::string_view message) {
  if (!error_) {
    error_ = Error{ErrorCode::kInvalidArgument, fmt::format("template line {}: {}: {}", line_, type, message)};
  }
  return {};
}

Value Runtime::refuse(std::string_view limit) {
  if (!error_) {
    error_ = Error{ErrorCode::kResource, fmt::format("template line {}: the limit {} is used up", line_, limit)};
  }
  return {};
}

bool Runtime::fits(size_t bytes) {
  const size_t used = heap_.used();
  if (used > limits_.max_memory_bytes || bytes > limits_.max_memory_bytes - used) refuse("max_memory_bytes");
  return !failed();
}

Value Runtime::string(std::string text, bool markup) {
  const size_t size = text.size();
  if (!fits(size) || !step(size / kBytesPerStep)) return {};
  return {Kind::kString, heap_.make<StringObject>(size, std::move(text), markup)};
}

Value Runtime::sequence(Kind kind, std::vector<Value> items) {
  const size_t bytes = items.size() * sizeof(Value);
  if (!fits(bytes) || !step(bytes / kBytesPerStep)) return {};
  return {kind, heap_.make<SequenceObject>(bytes, std::move(items))};
}

DictObject* Runtime::dict() {
  fits(sizeof(DictObject));
  return heap_.make<DictObject>(0);
}

Value Runtime::iterator(std::string_view label, IteratorObject::Next next) {
  fits(sizeof(IteratorObject));
  return {Kind::kIterator, heap_.make<IteratorObject>(sizeof(Value) * 4, label, std::move(next))};
}

Value Runtime::function(const Native* native, const Value& self) {
  fits(sizeof(FunctionObject));
  return {Kind::kFunction, heap_.make<FunctionObject>(0, native, self)};
}

Value Runtime::undefined(std::string message, bool security) {
  const size_t size = message.size();
  if (!fits(size)) return {};
  return {Kind::kUndefined, heap_.make<UndefinedObject>(size, std::move(message), security)};
}

Value Runtime::raise_undefined(const Value& value) {
  if (!value.object()) return raise("UndefinedError", "the value is undefined");
  const auto& why = value.as<UndefinedObject>();
  return raise(why.security ? "SecurityError" : "UndefinedError", why.message);
}

std::tm Runtime::now() const {
  if (now_) return *now_;
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

bool Iteration::begin(Runtime& rt, const Value& iterable) {
  source_ = iterable;
  switch (iterable.kind()) {
    case Kind::kUndefined:
      if (iterable.object() && iterable.as<UndefinedObject>().security) break;
      return true;
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kIterator:
      return true;
    default:
      rt.raise("TypeError", fmt::format("'{}' object is not iterable", type_name(iterable)));
      return false;
  }
  return true;
}

bool Iteration::next(Runtime& rt, Value& out) {
  if (!rt.step()) return false;
  const size_t i = position_;
  switch (source_.kind()) {
    case Kind::kString: {
      const std::string_view text = source_.text();
      if (i >= text.size()) return false;
      next_code_point(text, position_);
      out = rt.string(std::string(text.substr(i, position_ - i)), source_.string().markup);
      return !rt.failed();
    }
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      if (i >= source_.seq().size()) return false;
      out = source_.seq()[i];
      break;
    case Kind::kDict:
      if (i >= source_.dict().entries.size()) return false;
      out = source_.dict().entries[i].first;
      break;
    case Kind::kRange:
      if (static_cast<int64_t>(i) >= source_.range().size()) return false;
      out = Value::integer(source_.range().at(static_cast<int64_t>(i)));
      break;
    case Kind::kIterator: {
      // An iterator over an iterator over ...: each level is native recursion.
      Runtime::Depth depth(rt);
      return depth && source_.as<IteratorObject>().next(rt, out) && !rt.failed();
    }
    default:
      return false;
  }
  ++position_;
  return true;
}

std::vector<Value> items_of(Runtime& rt, const Value& iterable) {
  std::vector<Value> items;
  Iteration it;
  if (!it.begin(rt, iterable)) return items;
  for (Value v; it.next(rt, v);) {
    if (!rt.fits(items.size() * sizeof(Value))) break;
    items.push_back(v);
  }
  return items;
}

}  // namespace quern::jinja
