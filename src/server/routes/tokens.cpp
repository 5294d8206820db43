// /tokenize, /detokenize, /apply-template: the way from text to tokens without a forward. Names as llama-server has
// them.
#include "server/app.h"
#include "server/call.h"
#include "server/generation.h"

namespace quern::server {

namespace {

constexpr const char* kIdsSchema = R"({"type": "array", "items": {"type": "integer", "minimum": 0}})";
constexpr const char* kMessagesSchema = R"({"type": "array", "minItems": 1, "items": {"type": "object",
  "properties": {"role": {"type": "string"}}, "required": ["role"]}})";

struct TokenizeBody {
  std::string model, content;
  bool add_special = false, parse_special = true, with_pieces = false;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model"}, model);
    v.member({"content", "The text", {.required = true}}, content);
    v.member({"add_special", "Begin with BOS and the like, as the model wants"}, add_special);
    v.member({"parse_special", "Texts of control tokens become those tokens"}, parse_special);
    v.member({"with_pieces", "Give the text of each token as well"}, with_pieces);
  }
};

struct DetokenizeBody {
  std::string model;
  Json tokens;
  bool render_special = true;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model"}, model);
    v.member({"tokens", "Token ids", {.required = true}}, tokens, kIdsSchema);
    v.member({"render_special", "Show control tokens as text"}, render_special);
  }
};

struct TemplateBody {
  std::string model;
  Json messages, tools, chat_template_kwargs;
  bool add_generation_prompt = true;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model"}, model);
    v.member({"messages", "The conversation", {.required = true}}, messages, kMessagesSchema);
    v.member({"tools", "Tools that the template may show"}, tools, R"({"type": "array"})");
    v.member({"chat_template_kwargs", "More variables of the template"}, chat_template_kwargs, R"({"type": "object"})");
    v.member({"add_generation_prompt", "End with the beginning of an answer"}, add_generation_prompt);
  }
};

void tokenize(const std::shared_ptr<Call>& call) {
  TokenizeBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  with_model(call, body.model, std::nullopt, [call, body](const std::shared_ptr<Model>& model) {
    const Engine& engine = model->engine();
    const auto ids = engine.tokenize(body.content, body.add_special, body.parse_special);
    call->record.prompt_tokens = ids.size();
    if (!body.with_pieces) return call->respond({{"tokens", ids}});
    Json tokens = Json::array();
    for (const int32_t id : ids) {
      tokens.push_back({{"id", id}, {"piece", engine.detokenize(std::span(&id, 1), /*render_special=*/true)}});
    }
    call->respond({{"tokens", tokens}});
  });
}

// The ids of a JSON array that are in the vocabulary.
Result<std::vector<int32_t>> read_ids(const Json& tokens, size_t n_vocab) {
  std::vector<int32_t> ids;
  for (const Json& id : tokens) {
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() >= static_cast<double>(n_vocab)) {
      return fail_f(ErrorCode::kInvalidArgument, "'tokens' holds {}, expected ids from 0 to {}", dump(id), n_vocab - 1);
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

void detokenize(const std::shared_ptr<Call>& call) {
  DetokenizeBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  with_model(call, body.model, std::nullopt, [call, body](const std::shared_ptr<Model>& model) {
    const auto ids = read_ids(body.tokens, model->engine().info().n_vocab);
    if (!ids) return call->fail(ids.error());
    call->respond({{"content", model->engine().detokenize(*ids, body.render_special)}});
  });
}

void apply_template(const std::shared_ptr<Call>& call) {
  TemplateBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  with_model(call, body.model, std::nullopt, [call, body](const std::shared_ptr<Model>& model) {
    const auto text =
        chat_text(*model, body.messages, body.tools, body.chat_template_kwargs, body.add_generation_prompt);
    if (!text) return call->fail(text.error());
    call->respond({{"prompt", *text}});
  });
}

Json ids_answer() {
  return Json::parse(R"({"type": "object", "required": ["tokens"], "properties": {"tokens": {"type": "array"}}})");
}
Json content_answer() {
  return Json::parse(R"({"type": "object", "required": ["content"], "properties": {"content": {"type": "string"}}})");
}
Json prompt_answer() {
  return Json::parse(R"({"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}})");
}

}  // namespace

Route tokenize_route() {
  return {.method = "POST",
          .path = "/tokenize",
          .summary = "Text to token ids",
          .handle = tokenize,
          .body = body_schema<TokenizeBody>,
          .response = ids_answer,
          .answers = {{404, "No such model"}}};
}

Route detokenize_route() {
  return {.method = "POST",
          .path = "/detokenize",
          .summary = "Token ids to text",
          .handle = detokenize,
          .body = body_schema<DetokenizeBody>,
          .response = content_answer,
          .answers = {{404, "No such model"}}};
}

Route template_route() {
  return {.method = "POST",
          .path = "/apply-template",
          .summary = "Messages to the prompt that the model gets",
          .handle = apply_template,
          .body = body_schema<TemplateBody>,
          .response = prompt_answer,
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
