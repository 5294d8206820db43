// POST /api/chat: a conversation to its next message, as Ollama has it.
#include "base/clock.h"
#include "server/app.h"
#include "server/generation.h"
#include "server/ollama/reply.h"
#include "server/tools/chat_turn.h"
#include "server/tools/thinking.h"

namespace quern::server {

namespace {

using namespace ollama;

constexpr const char* kMessages = R"({"type": "array", "items": {"type": "object", "required": ["role"],
  "properties": {"role": {"type": "string", "minLength": 1}, "content": {"type": ["string", "null"]}}}})";

// As OpenAI's; the type may be left out.
constexpr const char* kOllamaToolsSchema = R"({"type": ["array", "null"], "items": {"type": "object",
  "required": ["function"], "properties": {"type": {"enum": ["function"]},
    "function": {"type": "object", "required": ["name"], "properties": {
      "name": {"type": "string"}, "description": {"type": ["string", "null"]},
      "parameters": {"type": ["object", "null"]}}}}}})";

struct ChatBody : TextBody {
  Json messages, tools = Json::array(), tool_choice;
  ToolWish wish;  // made of the members

  void fields(FieldVisitor& v) {
    TextBody::fields(v);
    v.member({"messages", "The conversation; empty: load the model, or unload it by keep_alive 0"}, messages,
             kMessages);
    v.member({"tools", "Functions that the model may call"}, tools, kOllamaToolsSchema);
    v.member({"tool_choice", "quern's own, as OpenAI's: none, auto, required, or the function to call"}, tool_choice,
             kToolChoiceSchema);
  }
};

// Messages as templates take them: content is a text. Other members stay: a template may know them.
Status make_plain(Json& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    Json& m = messages[i];
    const auto wrong = [&](std::string_view what) {
      return fail_f(ErrorCode::kInvalidArgument, "'messages[{}]' {}", i, what);
    };
    if (!m.is_object()) return wrong("is no object with role and content");
    if (!m.contains("role") || !m["role"].is_string() || m["role"].get_ref<const std::string&>().empty()) {
      return wrong("has no role");
    }
    if (!m.contains("content") || m["content"].is_null()) m["content"] = "";
    if (!m["content"].is_string()) return wrong("has a content that is no string");
    const auto images = m.find("images");
    if (images != m.end() && !images->is_null() && !(images->is_array() && images->empty())) {
      return wrong("has 'images', which is not supported: no model here reads images");
    }
  }
  return {};
}

// Tools, and the messages that speak of them, as OpenAI has them.
std::optional<BodyError> read_tools(ChatBody& body, ToolStore& store) {
  for (Json& tool : body.tools) {
    if (tool.is_object() && !tool.contains("type")) tool["type"] = "function";
  }
  if (auto problem = server::read_tools(body.tools, body.tool_choice, /*parallel=*/true, store, body.wish))
    return problem;
  if (auto problem = check_tool_messages(body.messages)) return problem;
  number_calls(body.messages);
  if (body.wish.offered() && body.grammar) {
    return BodyError{"format", "'format' and 'tools' cannot be held at once: leave one of them out"};
  }
  return std::nullopt;
}

void start(Run r, const ChatBody& body) {
  r.chat = true;
  auto extra = think_variables(body.think, "think", *r.model);
  if (!extra) return r.call->fail(extra.error());
  auto turn = turn_text(*r.call, *r.model, body.wish, body.messages, *extra);
  if (!turn) return r.call->fail(turn.error());
  auto reader = hold_reply(*r.call, r.model, body.wish, turn->text, r.options);
  if (!reader) return r.call->fail(reader.error());
  r.reader = std::move(*reader);
  if (r.call->app.config.log_prompts) r.call->record.prompt = dump(body.messages);
  if (auto ok = fit(r, turn_ids(r.model->engine(), *turn), body.truncate); !ok) return r.call->fail(ok.error());
  run(std::move(r));
}

void chat(const std::shared_ptr<Call>& call) {
  const double begun = now_s();
  ChatBody body;
  if (!call->read(body, Unknown::kIgnore) || !body.read(*call)) return;
  if (body.messages.empty()) return load_or_unload(call, body, /*chat=*/true);
  if (auto ok = make_plain(body.messages); !ok) return call->fail(ok.error());
  if (const auto problem = read_tools(body, call->app.tool_store)) return call->refuse(*problem);
  with_run(call, body, begun, [body](Run r) { start(std::move(r), body); });
}

Json answer() {
  return reply_schema(/*chat=*/true);
}

}  // namespace

Route ollama_chat_route() {
  return {.method = "POST",
          .path = "/api/chat",
          .summary = "A conversation to its next message (Ollama)",
          .handle = chat,
          .style = ApiStyle::kOllama,
          .body = body_schema<ChatBody>,
          .response = answer,
          .streams = "application/x-ndjson",
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
