#include "server/openai/response_output.h"

#include <fmt/format.h>

#include "server/call.h"
#include "server/openai/json_text.h"

namespace quern::server {

namespace {

using tools::Delta;

// Members of an object as text, behind others.
std::string members_of(const Json& object) {
  const std::string text = dump(object);
  return "," + text.substr(1, text.size() - 2);
}

}  // namespace

void ResponseOutput::add(const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::kContent:
      return add_text(delta.text);
    case Delta::Kind::kReasoning:
      if (kind_ != Kind::kReasoning) open(Kind::kReasoning);
      return grow(delta.text);
    case Delta::Kind::kCallBegin:
      return open_call(delta);
    case Delta::Kind::kArguments:
      return grow(delta.text);
    case Delta::Kind::kCallEnd:
      return close("completed");
    case Delta::Kind::kCallLost:  // an event cannot be taken back
      return close("incomplete");
  }
}

void ResponseOutput::add_text(std::string_view text) {
  if (kind_ != Kind::kText) open(Kind::kText);
  grow(text);
}

void ResponseOutput::add(const ParsedReply& reply) {
  if (!reply.reasoning.empty()) add(Delta{.kind = Delta::Kind::kReasoning, .text = reply.reasoning, .id = {}});
  if (!reply.content.empty()) add_text(reply.content);
  for (const ToolCall& call : reply.calls) {
    add(Delta{.kind = Delta::Kind::kCallBegin, .text = call.name, .id = call.id});
    add(Delta{.kind = Delta::Kind::kArguments, .text = call.arguments, .id = {}});
    add(Delta{.kind = Delta::Kind::kCallEnd, .text = {}, .id = {}});
  }
}

Json ResponseOutput::finish(std::string_view status) {
  if (items_.empty() && kind_ == Kind::kNone) open(Kind::kText);
  close(status);
  return std::move(items_);
}

void ResponseOutput::open(Kind kind) {
  close("completed");
  kind_ = kind;
  const char* prefix = kind == Kind::kCall ? "fc" : kind == Kind::kReasoning ? "rs" : "msg";
  item_id_ = fmt::format("{}_{}_{}", prefix, id_, items_.size());
  place_ = fmt::format(R"(,"item_id":"{}","output_index":{})", item_id_, items_.size());
  if (kind != Kind::kCall) place_ += R"(,"content_index":0)";
  delta_head_ = place_ + R"(,"delta":)";
  tell_item("response.output_item.added", "in_progress");
  if (kind != Kind::kCall) tell_of_item("response.content_part.added", {{"part", part()}});
}

void ResponseOutput::open_call(const Delta& delta) {
  close("completed");
  name_ = delta.text;
  call_id_ = delta.id;
  open(Kind::kCall);
}

void ResponseOutput::grow(std::string_view piece) {
  text_ += piece;
  if (!tell_ || piece.empty()) return;
  std::string members;
  members.reserve(delta_head_.size() + piece.size() + 24);
  members += delta_head_;
  append_json_string(members, piece);
  if (kind_ == Kind::kText) members += R"(,"logprobs":[])";
  tell_(kind_ == Kind::kCall        ? "response.function_call_arguments.delta"
        : kind_ == Kind::kReasoning ? "response.reasoning_text.delta"
                                    : "response.output_text.delta",
        members);
}

void ResponseOutput::close(std::string_view status) {
  switch (kind_) {
    case Kind::kNone:
      return;
    case Kind::kReasoning:
      tell_of_item("response.reasoning_text.done", {{"text", text_}});
      tell_of_item("response.content_part.done", {{"part", part()}});
      break;
    case Kind::kText:
      tell_of_item("response.output_text.done", {{"text", text_}, {"logprobs", Json::array()}});
      tell_of_item("response.content_part.done", {{"part", part()}});
      break;
    case Kind::kCall:
      tell_of_item("response.function_call_arguments.done", {{"name", name_}, {"arguments", text_}});
      break;
  }
  tell_item("response.output_item.done", status);
  items_.push_back(item(status));
  kind_ = Kind::kNone;
  text_.clear();
}

Json ResponseOutput::part() const {
  if (kind_ == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text_}};
  return {{"type", "output_text"}, {"text", text_}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
}

Json ResponseOutput::item(std::string_view status) const {
  Json item = {{"id", item_id_}};
  const Json content = status == "in_progress" ? Json::array() : Json::array({part()});
  switch (kind_) {
    case Kind::kReasoning:
      item.update({{"type", "reasoning"}, {"status", status}, {"summary", Json::array()}, {"content", content}});
      break;
    case Kind::kCall:
      item.update({{"type", "function_call"},
                   {"status", status},
                   {"call_id", call_id_},
                   {"name", name_},
                   {"arguments", text_}});
      break;
    default:
      item.update({{"type", "message"}, {"status", status}, {"role", "assistant"}, {"content", content}});
  }
  return item;
}

void ResponseOutput::tell_of_item(std::string_view type, const Json& more) {
  if (tell_) tell_(type, place_ + members_of(more));
}

void ResponseOutput::tell_item(std::string_view type, std::string_view status) {
  if (tell_) tell_(type, members_of({{"output_index", items_.size()}, {"item", item(status)}}));
}

}  // namespace quern::server
