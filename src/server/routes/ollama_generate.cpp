// POST /api/generate: a prompt to its completion, as Ollama has it.
#include "base/clock.h"
#include "server/app.h"
#include "server/generation.h"
#include "server/ollama/reply.h"
#include "server/ollama/turn.h"
#include "server/tools/chat_turn.h"
#include "server/tools/thinking.h"

namespace quern::server {

namespace {

using namespace ollama;

struct GenerateBody : TextBody {
  std::string prompt;
  std::optional<std::string> system;
  Json context;
  bool raw = false;

  void fields(FieldVisitor& v) {
    TextBody::fields(v);
    v.member({"prompt", "The text; empty: load the model, or unload it by keep_alive 0"}, prompt);
    v.member({"system", "System message"}, system);
    v.member({"context", "That of an earlier answer, to go on from there"}, context,
             R"({"type": "array", "items": {"type": "integer", "minimum": 0}})");
    v.member({"raw", "The prompt is the whole text, without the model's template"}, raw);
    v.refuse("suffix", "text cannot be filled in between two others", {"\"\""});
    v.refuse("template", "the model's own template is used; write the whole text and say raw", {"\"\""});
    v.refuse("images", "no model here reads images", {"[]"});
  }
};

Result<std::vector<int32_t>> read_context(const Json& context) {
  std::vector<int32_t> ids;
  if (context.is_null()) return ids;
  for (const Json& id : context) {
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() > INT32_MAX) {
      return fail_f(ErrorCode::kInvalidArgument, "'context' holds {}, expected token ids", dump(id));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

void start(Run r, const GenerateBody& body, Turn turn) {
  if (turn.raw && !body.think.is_null() && body.think != false) {
    return r.call->refuse({"think", "with 'raw' the prompt is the whole text: 'think' has no place"});
  }
  auto variables = think_variables(body.think, "think", *r.model);
  if (!variables) return r.call->fail(variables.error());
  turn.variables = std::move(*variables);
  auto prompt = turn_prompt(*r.model, turn);
  if (!prompt) return r.call->fail(prompt.error());
  if (!turn.raw) {
    auto reader = hold_reply(*r.call, r.model, ToolWish{}, prompt->text, r.options);
    if (!reader) return r.call->fail(reader.error());
    r.reader = std::move(*reader);
  }
  if (prompt->system_left_out) r.call->tell_ignored({"system"});
  if (r.call->app.config.log_prompts) r.call->record.prompt = body.prompt;
  if (auto ok = fit(r, std::move(prompt->ids), body.truncate); !ok) return r.call->fail(ok.error());
  run(std::move(r));
}

void generate(const std::shared_ptr<Call>& call) {
  const double begun = now_s();
  GenerateBody body;
  if (!call->read(body, Unknown::kIgnore) || !body.read(*call)) return;
  auto context = read_context(body.context);
  if (!context) return call->fail(context.error());
  if (body.prompt.empty()) return load_or_unload(call, body, /*chat=*/false);
  Turn turn{.prompt = body.prompt, .system = body.system, .context = std::move(*context), .raw = body.raw};
  if (turn.system && turn.system->empty()) turn.system.reset();
  with_run(call, body, begun, [body, turn](Run r) { start(std::move(r), body, turn); });
}

Json answer() {
  return reply_schema(/*chat=*/false);
}

}  // namespace

Route ollama_generate_route() {
  return {.method = "POST",
          .path = "/api/generate",
          .summary = "A prompt to its completion (Ollama)",
          .handle = generate,
          .style = ApiStyle::kOllama,
          .body = body_schema<GenerateBody>,
          .response = answer,
          .streams = "application/x-ndjson",
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
