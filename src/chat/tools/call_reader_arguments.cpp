// How each family writes arguments.
#include "chat/tools/call_reader.h"
#include "chat/tools/literal.h"

namespace quern::tools {

CallReader::State CallReader::in_json(char c) {
  const auto state = scanner_.feed(c);
  if (state == JsonScanner::State::kFailed) return fail("malformed JSON");
  sink_.arguments(std::string_view(&c, 1));
  if (state == JsonScanner::State::kMore) return State::kMore;
  end_call();
  return enter(op_ + 1);
}

CallReader::State CallReader::in_bare_literal(char c) {
  constexpr std::string_view kQuote = "<|\"|>";
  text_.push_back(c);
  if (c == '>' && text_ends_with(kQuote)) {
    quote_ = quote_ == 0 ? '"' : '\0';
    return State::kMore;
  }
  if (quote_ != 0) return State::kMore;
  if (c == '{' || c == '[') ++depth_;
  if (c == '}' || c == ']') --depth_;
  if (depth_ > 0) return State::kMore;
  const auto value = read_literal(text_);
  if (!value || !value->is_object()) return fail("malformed arguments");
  sink_.arguments(json_text(*value));
  end_call();
  return enter(op_ + 1);
}

CallReader::State CallReader::in_python(char c) {
  switch (python_) {
    case Python::kStart:
      if (is_space(c)) return State::kMore;
      if (c == '[' && !bracket_ && calls_ == 0) {
        bracket_ = true;
        return State::kMore;
      }
      if (!is_name_byte(c)) return fail("a tool's name must follow");
      name_.assign(1, c);
      python_ = Python::kName;
      return State::kMore;
    case Python::kName:
      if (is_name_byte(c) && name_.size() <= kMaxName) {
        name_.push_back(c);
        return State::kMore;
      }
      if (c != '(') return fail("'(' must follow a tool's name");
      tool_ = tools_.find_meant(name_);
      if (tool_ == nullptr) return fail("no tool is named '" + name_ + "'");
      in_call_ = true;
      text_.clear();
      quote_ = 0;
      escaped_ = false;
      depth_ = 1;
      python_ = Python::kArguments;
      return State::kMore;
    case Python::kArguments:
      if (quote_ != 0) {
        if (!escaped_ && c == quote_) quote_ = 0;
        escaped_ = c == '\\' && !escaped_;
      } else if (c == '"' || c == '\'') {
        quote_ = c;
        escaped_ = false;
      } else if (c == '(' || c == '[' || c == '{') {
        ++depth_;
      } else if ((c == ')' || c == ']' || c == '}') && --depth_ == 0) {
        return c == ')' ? python_call_ended() : fail("malformed arguments");
      }
      text_.push_back(c);
      return State::kMore;
    case Python::kLineEnd:
      if (c == '\n') return python_line_ended();
      return is_space(c) ? State::kMore : fail("a line of its own is wanted");
    case Python::kAfter:
      break;
  }
  if (is_space(c)) return State::kMore;
  python_ = Python::kStart;
  if (c == ',') return State::kMore;
  return c == ']' ? enter(op_ + 1) : fail("']' must follow");
}

CallReader::State CallReader::python_call_ended() {
  std::vector<std::string> positions;
  const auto properties = tool_->parameters.find("properties");
  if (properties != tool_->parameters.end() && properties->is_object()) {
    for (const auto& [key, schema] : properties->items()) positions.push_back(key);
  }
  const auto value = read_keywords(text_, positions);
  if (!value) return fail("malformed arguments");
  text_ = json_text(*value);
  if (!bracket_ && family_.quiet) {
    python_ = Python::kLineEnd;
    return State::kMore;
  }
  python_ = Python::kAfter;
  return python_line_ended();
}

CallReader::State CallReader::python_line_ended() {
  sink_.begin(*tool_, id_);
  sink_.arguments(text_);
  end_call();
  return bracket_ ? State::kMore : enter(op_ + 1);
}

CallReader::State CallReader::in_parameters(char c) {
  const ParameterSyntax& syntax = *family_.parameters;
  text_.push_back(c);
  const auto word_of = [&](std::string_view all) {  // what of `all` comes behind its first word
    const std::string_view first = first_word(all);
    return all.substr(static_cast<size_t>(first.data() - all.data()) + first.size());
  };
  switch (parameter_) {
    case ParameterState::kKey: {
      if (text_.size() > kMaxKey) return fail("the name of an argument is too long");
      if (!text_ends_with(syntax.after_key)) return State::kMore;
      text_.resize(text_.size() - syntax.after_key.size());
      const std::string_view lead = word_of(syntax.before_key);
      if (!lead.empty() && !text_.starts_with(lead)) return fail("malformed arguments");
      key_ = text_.substr(lead.size());
      text_.clear();
      is_text_ = false;
      if (key_.empty() || !keys_.insert(key_).second) return fail("an argument comes twice or has no name");
      parameter_ = syntax.typed                  ? ParameterState::kType
                   : syntax.before_value.empty() ? ParameterState::kValue
                                                 : ParameterState::kBeforeValue;
      return State::kMore;
    }
    case ParameterState::kType:
      if (text_ends_with(syntax.before_value)) {
        const std::string_view type = std::string_view(text_).substr(0, text_.size() - syntax.before_value.size());
        if (type != "true" && type != "false") return fail("true or false must follow");
        is_text_ = type == "true";
        text_.clear();
        parameter_ = ParameterState::kValue;
        return State::kMore;
      }
      return text_.size() < kMaxSkip ? State::kMore : fail("true or false must follow");
    case ParameterState::kBeforeValue: {
      if (text_.size() == 1 && is_space(c)) {
        text_.clear();
        return State::kMore;
      }
      const std::string_view wanted = first_word(syntax.before_value);
      if (text_ == wanted) {
        text_.clear();
        parameter_ = ParameterState::kValue;
        return State::kMore;
      }
      return wanted.starts_with(text_) ? State::kMore : fail("'" + std::string(wanted) + "' must follow");
    }
    default:
      break;
  }
  if (c != syntax.after_value.back() || !text_ends_with(syntax.after_value)) return State::kMore;
  text_.resize(text_.size() - syntax.after_value.size());
  return parameter_ended();
}

CallReader::State CallReader::parameter_ended() {
  const ParameterSyntax& syntax = *family_.parameters;
  std::string_view value = text_;
  if (!syntax.lead.empty() && value.starts_with(syntax.lead)) value.remove_prefix(syntax.lead.size());
  if (!syntax.tail.empty() && value.ends_with(syntax.tail)) value.remove_suffix(syntax.tail.size());
  std::string json;
  if (is_text_) {
    json = json_text(Json(value));
  } else if (syntax.typed && is_json(value)) {
    json = value;
  } else {
    json = argument_json(argument_schema(*tool_, key_), value);
  }
  sink_.arguments((keys_.size() == 1 ? "{" : ", ") + json_text(Json(key_)) + ": " + json);
  parameter_ = ParameterState::kNone;
  expect(op_);
  return State::kMore;
}

}  // namespace quern::tools
