// Bodies of OpenAI's APIs, any JSON: what is taken has the plain shape that follows, what is not names its member. The
// text of a stream's event reads back as itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "server/openai/generation_members.h"
#include "server/openai/json_text.h"
#include "server/openai/messages.h"
#include "server/openai/prompts.h"
#include "server/openai/response_input.h"
#include "server/tools/tool_wish.h"

namespace {

using quern::server::BodyError;
using quern::server::Json;

constexpr size_t kVocab = 1000, kMostTexts = 16;

void require(bool good) {
  if (!good) std::abort();
}

void check_problem(const std::optional<BodyError>& problem) {
  require(!problem || !problem->message.empty());
}

void check_plain(const Json& messages) {
  require(messages.is_array() && !messages.empty());
  for (const Json& m : messages) {
    require(m.is_object() && m["role"].is_string() && m["content"].is_string());
    require(m["role"] != "developer");
  }
  const auto text = quern::server::continued("<" + messages.back()["content"].get<std::string>() + ">", messages);
  require(!text || text->starts_with('<'));
}

// Calls of messages, numbered, each have an id; tools that are taken have their choice.
void check_tools(const Json& value, Json messages) {
  const auto problem = quern::server::check_tool_messages(messages);
  check_problem(problem);
  if (!problem) quern::server::number_calls(messages);
  for (const Json& m : messages) {
    if (problem || !m.is_object() || !m.contains("tool_calls") || !m["tool_calls"].is_array()) continue;
    for (const Json& call : m["tool_calls"]) require(call["id"].is_string());
  }
  static quern::server::ToolStore store;
  for (const auto shape : {quern::server::ToolShape::kNested, quern::server::ToolShape::kFlat}) {
    quern::server::ToolWish wish;
    check_problem(quern::server::read_tools(value, value.empty() ? value : value[0], true, store, wish, shape));
    require(wish.choice.name.empty() || wish.tools->set()->find(wish.choice.name) != nullptr);
  }
}

void check_json(const Json& value) {
  if (value.is_array()) {
    Json messages = value;
    const auto problem = quern::server::plain_messages(messages);
    check_problem(problem);
    if (!problem) check_plain(messages);
    check_tools(value, messages);
  }
  Json messages;
  const auto problem = quern::server::input_messages(value, "be brief", messages);
  check_problem(problem);
  if (!problem) check_plain(messages);
  std::vector<quern::server::TextOrIds> texts;
  const auto wrong = quern::server::read_texts(value, "prompt", kMostTexts, kVocab, texts);
  check_problem(wrong);
  require(wrong || (!texts.empty() && texts.size() <= kMostTexts));
  quern::server::GenerationMembers members;
  std::vector<std::string> ignored;
  check_problem(quern::server::read_body(value, members, quern::server::Unknown::kIgnore, ignored));
  check_problem(members.check());
  quern::SamplingOptions options;
  check_problem(members.sampling.take(kVocab, options));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string quoted, again;
  quern::server::append_json_string(quoted, text);
  quern::server::append_json_string(again, Json::parse(quoted).get<std::string>());
  require(again == quoted);
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) check_json(value);
  return 0;
}
