#include "server/tools/reply_json.h"

#include <fmt/format.h>

#include <iterator>

#include "chat/tools/json_scanner.h"
#include "server/openai/json_text.h"

namespace quern::server {

using tools::Delta;

void append_openai_message(std::string& to, const ParsedReply& reply) {
  to += R"("content":)";
  if (reply.content.empty() && !reply.calls.empty()) {
    to += "null";
  } else {
    append_json_string(to, reply.content);
  }
  if (!reply.reasoning.empty()) {
    to += R"(,"reasoning_content":)";
    append_json_string(to, reply.reasoning);
  }
  if (reply.calls.empty()) return;
  to += R"(,"tool_calls":[)";
  for (size_t i = 0; i < reply.calls.size(); ++i) {
    to += i > 0 ? R"(,{"id":)" : R"({"id":)";
    append_json_string(to, reply.calls[i].id);
    to += R"(,"type":"function","function":{"name":)";
    append_json_string(to, reply.calls[i].name);
    to += R"(,"arguments":)";
    append_json_string(to, reply.calls[i].arguments);
    to += "}}";
  }
  to += ']';
}

bool append_openai_delta(std::string& to, const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::kContent:
    case Delta::Kind::kReasoning:
      to += delta.kind == Delta::Kind::kContent ? R"("content":)" : R"("reasoning_content":)";
      append_json_string(to, delta.text);
      return true;
    case Delta::Kind::kCallBegin:
      fmt::format_to(std::back_inserter(to), R"("tool_calls":[{{"index":{},"id":)", delta.call);
      append_json_string(to, delta.id);
      to += R"(,"type":"function","function":{"name":)";
      append_json_string(to, delta.text);
      to += R"(,"arguments":""}}])";
      return true;
    case Delta::Kind::kArguments:
      fmt::format_to(std::back_inserter(to), R"("tool_calls":[{{"index":{},"function":{{"arguments":)", delta.call);
      append_json_string(to, delta.text);
      to += "}}]";
      return true;
    case Delta::Kind::kCallEnd:
    case Delta::Kind::kCallLost:
      break;
  }
  return false;
}

void append_call_problems(std::string& to, const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  to += R"(,"quern":{"call_problems":[)";
  for (size_t i = 0; i < problems.size(); ++i) {
    if (i > 0) to += ',';
    append_json_string(to, problems[i]);
  }
  to += "]}";
}

void append_ollama_call(std::string& to, const ToolCall& call, size_t index) {
  to += R"({"id":)";
  append_json_string(to, call.id);
  fmt::format_to(std::back_inserter(to), R"(,"function":{{"index":{},"name":)", index);
  append_json_string(to, call.name);
  to += R"(,"arguments":)";
  to += tools::is_json(call.arguments) ? call.arguments : "{}";
  to += "}}";
}

}  // namespace quern::server
