#include "chat/tools/json_calls.h"

namespace quern::tools {
namespace {

constexpr size_t kMaxKey = 256;

bool is_arguments(std::string_view key) {
  return key == "arguments" || key == "parameters";
}
bool is_name(std::string_view key) {
  return key == "name" || key == "tool_name" || key == "function";
}
bool is_id(std::string_view key) {
  return key == "id" || key == "tool_call_id";
}

}  // namespace

std::optional<std::string> json_string(std::string_view quoted) {
  if (!is_json(quoted)) return std::nullopt;
  const Json value = Json::parse(quoted, nullptr, false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

JsonCalls::State JsonCalls::fail(std::string problem) {
  problem_ = std::move(problem);
  return State::kFailed;
}

JsonCalls::State JsonCalls::open(Frame frame) {
  frames_.push_back(frame);
  if (frame == Frame::kObject) {
    in_call_ = true;
    arguments_done_ = streamed_ = false;
    tool_ = nullptr;
    id_.clear();
    arguments_.clear();
  }
  expect_ = frame == Frame::kArray ? Expect::kElementOrEnd : Expect::kKeyOrEnd;
  return State::kMore;
}

JsonCalls::State JsonCalls::close() {
  const Frame closed = frames_.back();
  frames_.pop_back();
  if (closed == Frame::kObject) {
    if (tool_ == nullptr) return fail("a call has no name");
    if (!streamed_) {
      sink_.begin(*tool_, id_);
      sink_.arguments(arguments_done_ ? arguments_ : "{}");
    }
    sink_.end();
    ++calls_;
    in_call_ = false;
  }
  if (frames_.empty()) return State::kDone;
  expect_ = frames_.back() == Frame::kArray ? Expect::kElementEnd : Expect::kCommaOrEnd;
  return State::kMore;
}

JsonCalls::State JsonCalls::named(const Tool& tool) {
  if (tool_ != nullptr) return fail("a call has two names");
  tool_ = &tool;
  return State::kMore;
}

JsonCalls::State JsonCalls::begin_value(char c) {
  const bool object = frames_.back() == Frame::kObject, function = frames_.back() == Frame::kFunction;
  const bool fresh = object && tool_ == nullptr && !arguments_done_;
  if (key_ == "tool_calls" && fresh && c == '[') {
    frames_.back() = Frame::kWrapper;
    in_call_ = false;
    return open(Frame::kArray);
  }
  if (key_ == "function" && fresh && c == '{') return open(Frame::kFunction);
  const bool inside = object || function;
  if (inside && fresh && c == '{' && !is_arguments(key_)) {
    const Tool* tool = tools_.find(key_);  // {"get_weather": {..}}
    if (tool != nullptr) {
      if (named(*tool) == State::kFailed) return State::kFailed;
      key_ = "arguments";
    }
  }
  if (closed_ && inside && !is_arguments(key_) && !is_name(key_) && !is_id(key_) && key_ != "type") {
    return fail("no call has '" + key_ + "'");
  }
  if (inside && is_arguments(key_) && arguments_done_) return fail("a call has arguments twice");
  if (inside && is_arguments(key_) && c == '{' && tool_ != nullptr) {
    streamed_ = true;
    sink_.begin(*tool_, id_);
  }
  scanner_.reset();
  value_.clear();
  expect_ = Expect::kInValue;
  return in_value(c);
}

JsonCalls::State JsonCalls::in_value(char c) {
  const auto state = scanner_.feed(c);
  if (state == JsonScanner::State::kFailed) return fail("malformed JSON");
  if (state == JsonScanner::State::kDoneBefore) {
    if (value_ended() == State::kFailed) return State::kFailed;
    return feed(c);
  }
  const bool streams = streamed_ && !arguments_done_;
  if (streams) {
    sink_.arguments(std::string_view(&c, 1));
  } else {
    value_.push_back(c);
  }
  return state == JsonScanner::State::kDone ? value_ended() : State::kMore;
}

JsonCalls::State JsonCalls::text_value(const std::string& text) {
  if (is_name(key_)) {
    const Tool* tool = tools_.find_meant(text);
    return tool == nullptr ? fail("no tool is named '" + text.substr(0, kMaxKey) + "'") : named(*tool);
  }
  if (is_id(key_)) id_ = text;
  if (!is_arguments(key_)) return State::kMore;
  const size_t first = text.find_first_not_of(" \n\t\r");
  const bool object = first != std::string::npos && text[first] == '{' && is_json(text);
  if (!object && first != std::string::npos) return fail("arguments must be a JSON object");
  arguments_ = object ? text : "{}";
  arguments_done_ = true;
  return State::kMore;
}

JsonCalls::State JsonCalls::value_ended() {
  expect_ = Expect::kCommaOrEnd;
  const Frame frame = frames_.back();
  if (frame != Frame::kObject && frame != Frame::kFunction) return State::kMore;
  if (streamed_ && !arguments_done_) {
    arguments_done_ = true;
    return State::kMore;
  }
  if (value_.front() == '"') {
    const auto text = json_string(value_);
    return text ? text_value(*text) : fail("text that is not UTF-8");
  }
  if (is_name(key_)) return fail("a call's name is no text");
  if (!is_arguments(key_)) return State::kMore;
  if (value_.front() != '{' && value_ != "null") return fail("arguments must be a JSON object");
  arguments_ = value_ == "null" ? "{}" : value_;
  arguments_done_ = true;
  return State::kMore;
}

JsonCalls::State JsonCalls::feed(char c) {
  if (expect_ == Expect::kInValue) return in_value(c);
  if (expect_ == Expect::kInKey) {
    key_.push_back(c);
    if (key_.size() > kMaxKey) return fail("a key that no call has");
    const bool ended = c == '"' && !escaped_;
    escaped_ = c == '\\' && !escaped_;
    if (!ended) return State::kMore;
    auto key = json_string(key_);
    if (!key) return fail("malformed JSON");
    key_ = std::move(*key);
    expect_ = Expect::kColon;
    return State::kMore;
  }
  if (is_space(c)) return State::kMore;
  switch (expect_) {
    case Expect::kStart:
      if (c == '{') return open(Frame::kObject);
      return c == '[' ? open(Frame::kArray) : fail("a JSON object must follow");
    case Expect::kElementOrEnd:
      if (c == ']' && calls_ > 0) return close();
      [[fallthrough]];
    case Expect::kElement:
      return c == '{' ? open(Frame::kObject) : fail("the array must hold calls");
    case Expect::kElementEnd:
      if (c == ']') return close();
      expect_ = Expect::kElement;
      return c == ',' ? State::kMore : fail("malformed JSON");
    case Expect::kColon:
      expect_ = Expect::kValue;
      return c == ':' ? State::kMore : fail("malformed JSON");
    case Expect::kValue:
      return begin_value(c);
    case Expect::kCommaOrEnd:
      if (c == '}') return close();
      expect_ = Expect::kKey;
      return c == ',' ? State::kMore : fail("malformed JSON");
    default:
      break;
  }
  if (c == '}' && expect_ == Expect::kKeyOrEnd) return close();
  if (c != '"') return fail("malformed JSON");
  key_ = "\"";
  escaped_ = false;
  expect_ = Expect::kInKey;
  return State::kMore;
}

}  // namespace quern::tools
