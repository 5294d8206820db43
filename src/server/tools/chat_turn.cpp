#include "server/tools/chat_turn.h"

#include <algorithm>

#include "base/digest.h"
#include "chat/render_chat.h"
#include "chat/tools/tool_prompt.h"
#include "server/app.h"
#include "server/generation.h"

namespace quern::server {

namespace {

constexpr size_t kLongestWarning = 1000, kPromptEnd = 64;

// The calls in a conversation that were sampled here, in its order.
std::vector<SampledCall> sampled_in(const SampledCalls& known, std::string_view tenant, const Json& messages) {
  std::vector<SampledCall> found;
  for (const Json& message : messages) {
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || !calls->is_array()) continue;
    for (const Json& one : *calls) {
      const Json& function = one.at("function");
      const auto arguments = function.find("arguments");
      if (arguments == function.end()) continue;
      ToolCall wanted;
      if (const auto id = one.find("id"); id != one.end() && id->is_string()) wanted.id = id->get<std::string>();
      wanted.name = function.at("name").get<std::string>();
      wanted.arguments = arguments->is_string() ? arguments->get<std::string>() : tools::json_text(*arguments);
      SampledCall sampled = known.find(tenant, wanted);
      if (sampled.reply) found.push_back(std::move(sampled));
    }
  }
  return found;
}

// A header's value: printable ASCII.
std::string header_text(const std::vector<std::string>& warnings) {
  std::string text;
  for (const std::string& warning : warnings) text += (text.empty() ? "" : "; ") + warning;
  text.resize(std::min(text.size(), kLongestWarning));
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// Templates put white space of their own between the beginning of an answer and its first call: it becomes what was
// sampled there.
void restore_gaps(TurnText& turn) {
  size_t at = 0;
  for (const auto& reply : turn.replies) {
    const std::string& first = reply->calls.front().raw;
    const size_t place = turn.text.find(first, at);
    const std::string head = reply->text.substr(0, reply->text.find(first));
    if (place == std::string::npos || !is_blank(head)) continue;
    // The end of the prompt may reach back into the call before.
    const size_t from = at - std::min(at, reply->prompt_end.size());
    const std::string_view before = std::string_view(turn.text).substr(from, place - from);
    const size_t end = before.rfind(reply->prompt_end);
    const size_t gap = end == std::string_view::npos ? end : from + end + reply->prompt_end.size();
    const bool known = gap != std::string_view::npos && gap >= at && is_blank(before.substr(gap - from));
    if (known) turn.text.replace(gap, place - gap, head);
    at = (known ? gap + head.size() : place) + first.size();
  }
}

bool is_whole(const Engine& engine, std::span<const int32_t> ids, std::string_view text) {
  return engine.detokenize(ids, /*render_special=*/true) == text;
}

}  // namespace

Result<TurnText> turn_text(const SampledCalls& known, std::string_view tenant, const Model& model, const ToolWish& wish,
                           const Json& messages, const Json& extra, bool add_generation_prompt) {
  if (!model.chat_template) return fail(ErrorCode::kUnsupported, model.template_problem);
  ChatRequest request{.messages = messages,
                      .tools = wish.offered() ? wish.definitions : Json(nullptr),
                      .add_generation_prompt = add_generation_prompt,
                      .bos_token = std::string(model.engine().bos_text()),
                      .eos_token = std::string(model.engine().eos_text()),
                      .extra = extra.is_object() ? extra : Json::object(),
                      .now = {}};
  QUERN_CHECK_OK(tools::prepare_tools(*model.tool_format, wish.offered(), request));
  TurnText turn;
  QUERN_TRY(turn.text, render_chat(*model.chat_template, request));
  const std::vector<SampledCall> sampled = sampled_in(known, tenant, messages);
  if (sampled.empty() || !wish.tools) return turn;
  std::vector<ToolCall> calls;
  for (const SampledCall& one : sampled) {
    calls.push_back(one.reply->calls[one.number]);
    if (turn.replies.empty() || turn.replies.back() != one.reply) turn.replies.push_back(one.reply);
  }
  turn.text = tools::restore_calls(*model.tool_format, *wish.tools->set(), turn.text, calls);
  restore_gaps(turn);
  return turn;
}

Result<TurnText> turn_text(const Call& call, const Model& model, const ToolWish& wish, const Json& messages,
                           const Json& extra, bool add_generation_prompt) {
  return turn_text(call.app.sampled_calls, call.principal->tenant, model, wish, messages, extra, add_generation_prompt);
}

std::vector<int32_t> turn_ids(const Engine& engine, const TurnText& turn) {
  std::vector<int32_t> ids;
  const std::string_view text = turn.text;
  size_t at = 0;
  const auto add_text = [&](std::string_view piece) {
    // A piece of its own: what a tokenizer adds to the beginning of a text has no place here.
    const std::vector<int32_t> more = at == 0 ? tokenize_prompt(engine, piece)
                                              : engine.tokenize(piece, /*add_special=*/false, /*parse_special=*/true);
    if (at > 0 && !is_whole(engine, more, piece)) return false;
    ids.insert(ids.end(), more.begin(), more.end());
    return true;
  };
  for (const auto& reply : turn.replies) {
    const size_t place = text.find(reply->text, at);
    if (place == std::string_view::npos || place == 0) continue;
    if (place > at && !add_text(text.substr(at, place - at))) return tokenize_prompt(engine, text);
    ids.insert(ids.end(), reply->ids.begin(), reply->ids.end());
    at = place + reply->text.size();
  }
  if (!add_text(text.substr(at))) return tokenize_prompt(engine, text);
  return ids;
}

std::unique_ptr<tools::ReplyParser> ReplyReader::parser(size_t sample) const {
  return std::make_unique<tools::ReplyParser>(
      *model->tool_format, tools,
      tools::ParserOptions{.reasoning_open = reasoning_open, .id_seed = id_seed + (uint64_t{sample} << 32)});
}

ParsedReply ReplyReader::read(size_t sample, std::string_view text) const {
  const auto one = parser(sample);
  one->feed(text);
  return one->finish();
}

Result<ReplyReader> hold_reply(std::string_view id, std::shared_ptr<const Model> model, const ToolWish& wish,
                               std::string_view prompt, GenerateOptions& options, std::vector<std::string>& warnings) {
  ReplyReader reader;
  // A reply that is held to a format of its own has neither calls nor reasoning.
  if (!wish.offered() && (options.grammar || !model->reasons)) return reader;
  reader.tools = wish.offered() ? wish.tools->set() : std::make_shared<const tools::ToolSet>();
  reader.reasoning_open = model->tool_format->opens_reasoning(prompt);
  const Digest seed = digest(std::as_bytes(std::span(id)));
  std::memcpy(&reader.id_seed, seed.data(), sizeof reader.id_seed);
  options.render_special = true;  // the markers are special tokens in many models
  if (wish.offered()) {
    tools::ToolChoice choice = wish.choice;
    choice.reasoning_open = reader.reasoning_open;
    QUERN_TRY(tools::ToolGrammar held, wish.tools->grammar(*model->tool_format, choice));
    warnings = std::move(held.warnings);
    options.grammar = std::move(held.grammar);
    options.grammar_triggers = std::move(held.triggers);
  }
  reader.prompt_end = prompt.substr(prompt.size() - std::min(prompt.size(), kPromptEnd));
  reader.model = std::move(model);
  return reader;
}

Result<ReplyReader> hold_reply(Call& call, std::shared_ptr<const Model> model, const ToolWish& wish,
                               std::string_view prompt, GenerateOptions& options) {
  std::vector<std::string> warnings;
  QUERN_TRY(ReplyReader reader, hold_reply(call.id, std::move(model), wish, prompt, options, warnings));
  if (!warnings.empty()) call.headers.emplace_back("x-quern-warning", header_text(warnings));
  return reader;
}

void keep_calls(SampledCalls& known, std::string_view tenant, const ReplyReader& reader, const Completion& completion,
                const ParsedReply& reply) {
  if (reply.calls.empty()) return;
  known.keep(tenant,
             {.text = completion.text, .ids = completion.ids, .calls = reply.calls, .prompt_end = reader.prompt_end});
}

void keep_calls(const Call& call, const ReplyReader& reader, const Completion& completion, const ParsedReply& reply) {
  keep_calls(call.app.sampled_calls, call.principal->tenant, reader, completion, reply);
}

}  // namespace quern::server
