// POST /api/chat: a conversation to its next message, as Ollama has it.
#include "base/clock.h"
#include "server/app.h"
#include "server/generation.h"
#include "server/ollama/reply.h"

namespace quern::server {

namespace {

using namespace ollama;

constexpr const char* kMessages = R"({"type": "array", "items": {"type": "object", "required": ["role"],
  "properties": {"role": {"type": "string", "minLength": 1}, "content": {"type": ["string", "null"]}}}})";

struct ChatBody : TextBody {
  Json messages;

  void fields(FieldVisitor& v) {
    TextBody::fields(v);
    v.member({"messages", "The conversation; empty: load the model, or unload it by keep_alive 0"}, messages,
             kMessages);
    v.refuse("tools", "the model's calls of tools are not read yet", {"[]"});
    v.refuse("think", "thinking is not told apart from the answer", {"false"});
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

void start(Run r, const ChatBody& body) {
  r.chat = true;
  auto ids = chat_prompt(*r.model, body.messages, Json(nullptr), Json(nullptr));
  if (!ids) return r.call->fail(ids.error());
  if (r.call->app.config.log_prompts) r.call->record.prompt = dump(body.messages);
  if (auto ok = fit(r, std::move(*ids), body.truncate); !ok) return r.call->fail(ok.error());
  run(std::move(r));
}

void chat(const std::shared_ptr<Call>& call) {
  const double begun = now_s();
  ChatBody body;
  if (!call->read(body, Unknown::kIgnore) || !body.read(*call)) return;
  if (body.messages.empty()) return load_or_unload(call, body, /*chat=*/true);
  if (auto ok = make_plain(body.messages); !ok) return call->fail(ok.error());
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
