#include "chat/tools/call_reader.h"

#include <algorithm>

namespace quern::tools {
namespace {

bool is_id_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

std::string_view first_word(std::string_view text) {
  const size_t from = text.find_first_not_of(" \n\t\r");
  if (from == std::string_view::npos) return {};
  const size_t end = text.find_first_of(" \n\t\r", from);
  return text.substr(from, end == std::string_view::npos ? end : end - from);
}

std::string opener_of(const Family& family) {
  if (!family.opener.empty()) return std::string(family.opener);
  std::string text;
  for (const Step& step : family.begin.empty() ? family.call : family.begin) {
    if (step.part != Part::kText || step.optional) break;
    text += step.text;
  }
  return std::string(first_word(text));
}

CallReader::CallReader(const Family& family, const ToolSet& tools, CallSink& sink)
    : family_(family), tools_(tools), sink_(sink) {
  compile(family);
  expect(0);
}

// "<tool_call>\n<function=" is two texts with white space between them as it may come.
void CallReader::add_texts(std::string text, bool optional) {
  std::string_view rest = text;
  for (std::string_view word = first_word(rest); !word.empty(); word = first_word(rest)) {
    ops_.push_back({OpKind::kText, std::string(word), optional});
    rest.remove_prefix(static_cast<size_t>(word.data() + word.size() - rest.data()));
  }
}

void CallReader::compile(const Family& family) {
  const bool section = !family.end.empty() && !family.begin.empty();
  std::string text;
  const auto flush = [&] {
    add_texts(std::move(text), false);
    text.clear();
  };
  const auto add = [&](std::span<const Step> steps) {
    for (const Step& step : steps) {
      if (step.part == Part::kText && !step.optional) {
        text += step.text;
        continue;
      }
      flush();
      switch (step.part) {
        case Part::kText:
          add_texts(std::string(step.text), true);
          break;
        case Part::kName:
          ops_.push_back({OpKind::kName});
          break;
        case Part::kNumberedName:
          ops_.push_back({OpKind::kName, {}, true});
          break;
        case Part::kSecondName:
          ops_.push_back({OpKind::kSecondName});
          break;
        case Part::kId:
          ops_.push_back({OpKind::kId, {}, step.optional});
          break;
        case Part::kSkip:
          ops_.push_back({OpKind::kSkip});
          break;
        case Part::kObject:
        case Part::kArray:
          ops_.push_back({OpKind::kCalls});
          break;
        case Part::kJson:
          ops_.push_back({OpKind::kJson});
          break;
        case Part::kParameters:
          ops_.push_back({OpKind::kParameters});
          break;
        case Part::kBareLiteral:
          ops_.push_back({OpKind::kBareLiteral});
          break;
        case Part::kPython:
          ops_.push_back({OpKind::kPython});
          break;
      }
    }
  };
  add(family.begin);
  if (section) flush();
  first_call_op_ = ops_.size();
  add(family.call);
  if (section) {
    flush();
    ops_.push_back({OpKind::kAgain});
  }
  add(family.end);
  flush();
  ops_.push_back({OpKind::kEnd});
}

CallReader::State CallReader::fail(std::string problem) {
  if (unread_ == 0) unread_ = 1;
  problem_ = std::move(problem);
  return State::kFailed;
}

// What may come at `op`: its text, and those behind what may be left out.
void CallReader::expect(size_t op) {
  matching_ = true;
  candidates_.clear();
  lit_.clear();
  blank_ = 0;
  fallback_ = ops_.size();
  for (size_t at = op; at < ops_.size(); ++at) {
    const Op& next = ops_[at];
    if (next.kind == OpKind::kText) {
      candidates_.push_back({next.text, at + 1});
      if (next.optional) continue;
    } else if (next.kind == OpKind::kAgain) {
      if (ops_[first_call_op_].kind == OpKind::kText) {
        candidates_.push_back({ops_[first_call_op_].text, first_call_op_ + 1});
      }
      continue;
    } else if (next.kind == OpKind::kParameters) {
      candidates_.push_back({first_word(family_.parameters->before_key), at});
      continue;
    } else if (next.kind == OpKind::kId && next.optional && at != op) {
      continue;
    } else if (next.kind != OpKind::kEnd) {
      fallback_ = at;
    }
    return;
  }
}

// No call is open, and what comes next is not of them.
CallReader::State CallReader::stop() {
  unread_ = lit_.size() + blank_;
  return State::kDoneBefore;
}

CallReader::State CallReader::match(char c) {
  if (lit_.empty() && is_space(c)) {
    ++blank_;
    return State::kMore;
  }
  lit_.push_back(c);
  bool more = false;
  for (const Candidate& candidate : candidates_) {
    if (candidate.text == lit_) return enter(candidate.to);
    more = more || candidate.text.starts_with(lit_);
  }
  if (more) return State::kMore;
  if (lit_.size() == 1 && fallback_ < ops_.size()) {
    op_ = fallback_;
    matching_ = false;
    return begin_op(c);
  }
  if (!in_call_ && calls_ > 0) return stop();
  unread_ = lit_.size();
  std::string expected;
  for (const Candidate& candidate : candidates_) {
    expected += (expected.empty() ? "'" : " or '") + std::string(candidate.text) + "'";
  }
  return fail(expected.empty() ? "a malformed call" : expected + " must follow");
}

// A text was matched; operation `op` comes next, or a parameter whose first text it was.
CallReader::State CallReader::enter(size_t op) {
  if (op < ops_.size() && ops_[op].kind == OpKind::kParameters && candidates_.size() > 0 &&
      lit_ == first_word(family_.parameters->before_key)) {
    op_ = op;
    matching_ = false;
    if (!in_call_ && !begin_call(name_)) return fail(std::move(problem_));
    // "<parameter name=\"" is two words; the rest is matched with the key.
    text_.clear();
    parameter_ = ParameterState::kKey;
    return State::kMore;
  }
  // Whether parameters, none or the last of them, lie behind.
  const bool behind = op > 0 && std::any_of(ops_.begin() + static_cast<ptrdiff_t>(first_call_op_),
                                            ops_.begin() + static_cast<ptrdiff_t>(op),
                                            [](const Op& o) { return o.kind == OpKind::kParameters; });
  if (behind && (in_call_ || !name_.empty())) {
    if (!in_call_ && !begin_call(name_)) return fail(std::move(problem_));
    sink_.arguments(keys_.empty() ? "{}" : "}");
    end_call();
  }
  if (ops_[op].kind == OpKind::kEnd) return State::kDone;
  expect(op);
  return State::kMore;
}

bool CallReader::begin_call(std::string_view name) {
  tool_ = tools_.find_meant(name);
  if (tool_ == nullptr) {
    problem_ = "no tool is named '" + std::string(name) + "'";
    return false;
  }
  in_call_ = true;
  keys_.clear();
  sink_.begin(*tool_, id_);
  return true;
}

void CallReader::end_call() {
  sink_.end();
  in_call_ = false;
  ++calls_;
  name_.clear();
  id_.clear();
}

CallReader::State CallReader::begin_op(char c) {
  unread_ = 0;
  text_.clear();
  switch (ops_[op_].kind) {
    case OpKind::kName:
      if (!is_name_byte(c)) return fail("a tool's name must follow");
      name_.clear();
      break;
    case OpKind::kSecondName:
      if (!is_name_byte(c)) {
        expect(op_ + 1);
        return match(c);
      }
      name_.clear();
      break;
    case OpKind::kCalls:
      json_ = std::make_unique<JsonCalls>(tools_, sink_, family_.quiet);
      break;
    case OpKind::kJson:
    case OpKind::kBareLiteral:
      if (c != '{') return fail("arguments must be an object");
      if (!begin_call(name_)) return fail(std::move(problem_));
      scanner_.reset();
      quote_ = 0;
      depth_ = 0;
      break;
    case OpKind::kPython:
      python_ = Python::kStart;
      bracket_ = false;
      break;
    default:
      break;
  }
  return feed_op(c);
}

CallReader::State CallReader::feed_op(char c) {
  switch (ops_[op_].kind) {
    case OpKind::kName:
    case OpKind::kSecondName:
      return in_name(c);
    case OpKind::kId:
      if (is_id_byte(c) && id_.size() < kMaxName) {
        id_.push_back(c);
        return State::kMore;
      }
      expect(op_ + 1);
      return match(c);
    case OpKind::kSkip: {
      text_.push_back(c);
      if (text_ends_with(ops_[op_ + 1].text)) return enter(op_ + 2);
      return text_.size() < kMaxSkip ? State::kMore : fail("'" + ops_[op_ + 1].text + "' must follow");
    }
    case OpKind::kCalls:
      return in_calls(c);
    case OpKind::kJson:
      return in_json(c);
    case OpKind::kBareLiteral:
      return in_bare_literal(c);
    case OpKind::kPython:
      return in_python(c);
    case OpKind::kParameters:
      return in_parameters(c);
    default:
      return fail("a malformed call");
  }
}

CallReader::State CallReader::in_name(char c) {
  if (!is_name_byte(c)) {
    if (ops_[op_].optional) id_ = name_;  // numbered
    expect(op_ + 1);
    return match(c);
  }
  name_.push_back(c);
  return name_.size() <= kMaxName ? State::kMore : fail("a tool's name of more than 160 bytes");
}

CallReader::State CallReader::in_calls(char c) {
  const auto state = json_->feed(c);
  if (state == JsonCalls::State::kFailed) return fail(json_->problem());
  if (state == JsonCalls::State::kMore) return State::kMore;
  ++calls_;
  return enter(op_ + 1);
}

CallReader::State CallReader::feed(char c) {
  unread_ = 0;
  if (matching_) return match(c);
  return feed_op(c);
}

CallReader::State CallReader::finish() {
  if (!matching_ && ops_[op_].kind == OpKind::kPython && python_ == Python::kLineEnd) python_line_ended();
  const bool in_array = !matching_ && ops_[op_].kind == OpKind::kCalls;
  const bool whole = in_array ? json_->between_calls() : !in_call_ && calls_ > 0 && name_.empty();
  if (whole) return State::kDone;
  problem_ = "the text ends within a call";
  unread_ = 0;
  return State::kFailed;
}

}  // namespace quern::tools
