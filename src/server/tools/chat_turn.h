// A conversation on its way to the model and the reply on its way back, where tools or reasoning are in play: what the
// chats of OpenAI's and of Ollama's APIs and streaming sessions have in common. Any thread; a ReplyReader's model
// outlives its parsers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chat/tools/reply_parser.h"
#include "server/call.h"
#include "server/models.h"
#include "server/tools/sampled_calls.h"
#include "server/tools/tool_wish.h"

namespace quern::server {

struct TurnText {
  std::string text;
  std::vector<std::shared_ptr<const SampledReply>> replies;  // that may be within the text, in their order
};

// Messages in OpenAI's shape by the model's template; calls that this server has sampled are written as they were then.
// As chat_text(). `tenant`: who asks.
Result<TurnText> turn_text(const SampledCalls& known, std::string_view tenant, const Model& model, const ToolWish& wish,
                           const Json& messages, const Json& extra, bool add_generation_prompt = true);
Result<TurnText> turn_text(const Call& call, const Model& model, const ToolWish& wish, const Json& messages,
                           const Json& extra, bool add_generation_prompt = true);
// The tokens of a turn's text, those of replies in it as they were sampled.
std::vector<int32_t> turn_ids(const Engine& engine, const TurnText& turn);

// Takes a request's replies apart. Without a model: replies are nothing but content.
struct ReplyReader {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const tools::ToolSet> tools;
  bool reasoning_open = false;
  uint64_t id_seed = 0;
  std::string prompt_end = {};  // the last bytes of the prompt

  explicit operator bool() const { return model != nullptr; }
  [[nodiscard]] std::unique_ptr<tools::ReplyParser> parser(size_t sample) const;
  [[nodiscard]] ParsedReply read(size_t sample, std::string_view text) const;
};

// Sets what a reply must look like, and gives what reads it. `prompt` is the whole text of it, `id` the request's. What
// a grammar cannot hold of a tool's schema is told in `warnings`, or in the header x-quern-warning; of a strict tool it
// is kUnsupported.
Result<ReplyReader> hold_reply(std::string_view id, std::shared_ptr<const Model> model, const ToolWish& wish,
                               std::string_view prompt, GenerateOptions& options, std::vector<std::string>& warnings);
Result<ReplyReader> hold_reply(Call& call, std::shared_ptr<const Model> model, const ToolWish& wish,
                               std::string_view prompt, GenerateOptions& options);

// Keeps the calls of a reply for the turns to come.
void keep_calls(SampledCalls& known, std::string_view tenant, const ReplyReader& reader, const Completion& completion,
                const ParsedReply& reply);
void keep_calls(const Call& call, const ReplyReader& reader, const Completion& completion, const ParsedReply& reply);

}  // namespace quern::server
