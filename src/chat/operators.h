// Python's operators and protocols on values: truth, comparison, arithmetic, subscription, text.
//
// Where Python raises, these raise in the Runtime and return something harmless.
#pragma once

#include <string>
#include <string_view>

#include "chat/runtime.h"
#include "chat/value.h"

namespace quern::jinja {

enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

bool truth(Runtime& rt, const Value& v);
bool equal(Runtime& rt, const Value& a, const Value& b);
bool less(Runtime& rt, const Value& a, const Value& b);  // a < b; a TypeError between kinds that have no order
bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b);
bool contains(Runtime& rt, const Value& container, const Value& item);
// False when the value has no hash.
bool hash_of(Runtime& rt, const Value& v, size_t& hash);

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b);
Value negate(Runtime& rt, const Value& v);
Value positive(Runtime& rt, const Value& v);

// len(); raises for what has none.
int64_t length_of(Runtime& rt, const Value& v);
bool is_sized(const Value& v);

// v.name and v[key] by the rules of Jinja2's sandbox: the other kind of lookup is tried next, then undefined.
Value get_attribute(Runtime& rt, const Value& v, std::string_view name);
Value get_item(Runtime& rt, const Value& v, const Value& key);
// v[begin:end:step]; None for a part left out.
Value get_slice(Runtime& rt, const Value& v, const Value& begin, const Value& end, const Value& step);
// Code points [begin, end) of a string.
std::string_view code_points(const StringObject& s, size_t begin, size_t end);

// str(v) and repr(v), appended.
void append_str(Runtime& rt, std::string& out, const Value& v);
void append_repr(Runtime& rt, std::string& out, const Value& v);
std::string str_of(Runtime& rt, const Value& v);
std::string repr_of(Runtime& rt, const Value& v);
std::string repr_of_text(std::string_view text);
std::string repr_of_double(double d);
// Markup's escaping of & < > " '.
std::string escape_html(std::string_view text);
bool is_markup(const Value& v);
// v as markup: itself when it is, else str(v) escaped.
std::string markup_of(Runtime& rt, const Value& v);

}  // namespace quern::jinja
