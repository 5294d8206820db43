#include "grammar/schema/value.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

namespace quern::grammar::schema {

const Value* Value::find(std::string_view name) const {
  const auto at = std::lower_bound(by_name.begin(), by_name.end(), name,
                                   [&](uint32_t member, std::string_view wanted) { return names[member] < wanted; });
  return at != by_name.end() && names[*at] == name ? &items[*at] : nullptr;
}

namespace {

using Kind = Value::Kind;

// The events of nlohmann's parser, into a tree. Each answers whether to go on.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return leaf(Kind::kNull); }
  bool boolean(bool value) override { return leaf(value ? Kind::kTrue : Kind::kFalse); }
  bool number_integer(int64_t value) override { return leaf(Kind::kNumber, std::to_string(value)); }
  bool number_unsigned(uint64_t value) override { return leaf(Kind::kNumber, std::to_string(value)); }
  bool number_float(double, const std::string& text) override {
    if (text.size() > kMaxNumber || exponent_digits(text) > 4) {
      return refuse(ErrorCode::kResource,
                    fmt::format("a number has more than {} digits or a larger exponent than 9999", kMaxNumber));
    }
    return leaf(Kind::kNumber, text);
  }
  bool string(std::string& text) override { return leaf(Kind::kString, std::move(text)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Kind::kObject); }
  bool start_array(size_t) override { return open(Kind::kArray); }
  bool key(std::string& name) override {
    open_.back()->names.push_back(std::move(name));
    return true;
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool end_object() override {
    Value& object = *open_.back();
    open_.pop_back();
    object.by_name.resize(object.names.size());
    std::iota(object.by_name.begin(), object.by_name.end(), 0u);
    std::sort(object.by_name.begin(), object.by_name.end(),
              [&](uint32_t a, uint32_t b) { return object.names[a] < object.names[b]; });
    for (size_t i = 1; i < object.by_name.size(); ++i) {
      const std::string& name = object.names[object.by_name[i]];
      if (name == object.names[object.by_name[i - 1]]) {
        return refuse(ErrorCode::kInvalidArgument, fmt::format("an object has the name {} twice", json_quoted(name)));
      }
    }
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& why) override {
    return refuse(ErrorCode::kInvalidArgument, fmt::format("not JSON, at byte {}: {}", position, why.what()));
  }

  Value root;
  std::optional<Error> error;

 private:
  static constexpr size_t kMaxNumber = 1000;

  static size_t exponent_digits(std::string_view text) {
    const size_t e = text.find_first_of("eE");
    return e == text.npos ? 0 : text.size() - std::min(text.size(), text.find_first_not_of("eE+-0", e));
  }

  bool refuse(ErrorCode code, std::string message) {
    if (!error) error = Error{code, std::move(message)};
    return false;
  }

  bool leaf(Kind kind, std::string text = {}) { return add(kind, std::move(text)) != nullptr; }

  bool open(Kind kind) {
    if (open_.size() == kMaxDepth) {
      return refuse(ErrorCode::kResource, fmt::format("it is nested more than {} levels deep", kMaxDepth));
    }
    Value* const value = add(kind, {});
    if (value != nullptr) open_.push_back(value);
    return value != nullptr;
  }

  // Containers that are still open stay where they are: only the innermost one grows, and its items are closed.
  Value* add(Kind kind, std::string text) {
    if (n_ == kMaxValues) {
      refuse(ErrorCode::kResource, fmt::format("it has more than {} values", kMaxValues));
      return nullptr;
    }
    Value* const value = open_.empty() ? &root : &open_.back()->items.emplace_back();
    value->kind = kind;
    value->id = n_++;
    value->text = std::move(text);
    return value;
  }

  std::vector<Value*> open_;
  uint32_t n_ = 0;
};

}  // namespace

Result<Value> parse_json(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return fail_f(ErrorCode::kResource, "the schema has {} bytes, more than {}", text.size(), kMaxBytes);
  }
  Reader reader;
  if (nlohmann::json::sax_parse(text, &reader)) return std::move(reader.root);
  if (!reader.error) return fail(ErrorCode::kInvalidArgument, "the schema is not JSON");
  return fail(reader.error->code, "the schema: " + reader.error->message);
}

std::string place_of(const Value& root, uint32_t id) {
  std::string place = "#";
  const Value* at = &root;
  while (at->id != id && !at->items.empty()) {
    // Ids grow in document order: the last item that does not come after it is it or holds it.
    const auto after = std::upper_bound(at->items.begin(), at->items.end(), id,
                                        [](uint32_t wanted, const Value& item) { return wanted < item.id; });
    if (after == at->items.begin()) break;
    const auto index = static_cast<size_t>(after - at->items.begin() - 1);
    place += '/';
    if (at->is(Kind::kArray)) {
      place += std::to_string(index);
    } else {
      for (const char c : at->names[index]) place += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    }
    at = &at->items[index];
  }
  return place;
}

namespace {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16);
    if (error != std::errc() || end != &text[i + 1] + 2) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string tilde_decoded(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1');
    out += escape ? (token[++i] == '0' ? '~' : '/') : token[i];
  }
  return out;
}

const Value* child(const Value& of, const std::string& token) {
  if (of.is(Kind::kObject)) return of.find(token);
  if (!of.is(Kind::kArray) || (token.size() > 1 && token[0] == '0')) return nullptr;
  size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool whole = error == std::errc() && end == token.data() + token.size();
  return whole && index < of.items.size() ? &of.items[index] : nullptr;
}

}  // namespace

Result<const Value*> follow(const Value& root, std::string_view reference) {
  if (!reference.starts_with('#')) {
    return fail_f(ErrorCode::kUnsupported, "$ref {} leads to another document: only \"#/...\" is supported",
                  json_quoted(reference));
  }
  const auto pointer = percent_decoded(reference.substr(1));
  if (!pointer) return fail_f(ErrorCode::kInvalidArgument, "$ref {} is not a URI reference", json_quoted(reference));
  if (!pointer->empty() && pointer->front() != '/') {
    return fail_f(ErrorCode::kUnsupported, "$ref {} names an anchor: only \"#/...\" is supported",
                  json_quoted(reference));
  }
  const Value* at = &root;
  for (std::string_view rest = *pointer; !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view token = rest.substr(0, rest.find('/'));
    rest.remove_prefix(token.size());
    const Value* const base = at == &root ? nullptr : at->find("$id");
    if (base != nullptr && base->is(Kind::kString)) {
      return fail_f(ErrorCode::kUnsupported, "$ref {} leads into a schema with an $id of its own",
                    json_quoted(reference));
    }
    at = child(*at, tilde_decoded(token));
    if (at == nullptr) return fail_f(ErrorCode::kInvalidArgument, "$ref {} leads nowhere", json_quoted(reference));
  }
  return at;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr std::string_view kEscaped = "\"\\\n\t\r\b\f", kLetters = "\"\\ntrbf";
    if (const size_t at = kEscaped.find(c); at != kEscaped.npos) {
      out += {'\\', kLetters[at]};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string to_json(const Value& value) {
  std::string out;
  switch (value.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kFalse:
      return "false";
    case Kind::kTrue:
      return "true";
    case Kind::kNumber:
      return value.text;
    case Kind::kString:
      return json_quoted(value.text);
    case Kind::kArray:
      for (const Value& item : value.items) out += (out.empty() ? "" : ",") + to_json(item);
      return '[' + out + ']';
    case Kind::kObject:
      for (size_t i = 0; i < value.items.size(); ++i) {
        out += (out.empty() ? "" : ",") + json_quoted(value.names[i]) + ':' + to_json(value.items[i]);
      }
      return '{' + out + '}';
  }
  return out;
}

}  // namespace quern::grammar::schema
