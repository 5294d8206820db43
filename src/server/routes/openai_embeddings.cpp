// /v1/embeddings. Source document: platform.openai.com/docs/api-reference/embeddings/create.
#include <algorithm>
#include <cmath>

#include "server/call.h"
#include "server/embeddings.h"
#include "server/generation.h"
#include "server/openai/base64.h"
#include "server/openai/json_text.h"
#include "server/openai/prompts.h"

namespace quern::server {

namespace {

constexpr size_t kMostInputs = 2048;  // as the API has it
// What the figures are: no model for embeddings, a decoder's states.
constexpr const char* kPooling = "mean of last states";

struct EmbeddingBody {
  std::string model, encoding_format = "float";
  Json input;
  std::optional<int64_t> dimensions;

  void fields(FieldVisitor& v) {
    v.member({"input", "One text or several, each a string or token ids", {.required = true}}, input, kTextsSchema);
    v.member({"model", "Name of the model, or \"default\""}, model);
    v.member({"encoding_format", "base64: the little-endian float32 values", {.choices = {"float", "base64"}}},
             encoding_format);
    v.member({"dimensions", "Only the model's own width is given", {.min = 1}}, dimensions);
    v.ignore("user", "keys tell users apart");
  }
};

// As doubles, so that who reads doubles has the very values that base64 gives.
void append_vector(std::string& to, const std::vector<float>& vector, bool as_base64) {
  if (as_base64) return append_json_string(to, base64_floats(vector));
  to += '[';
  for (size_t i = 0; i < vector.size(); ++i)
    to += fmt::format("{}{}", i == 0 ? "" : ",", static_cast<double>(vector[i]));
  to += ']';
}

void answer(Call& call, const EmbeddingBody& body, const Model& model, const Embeddings& found) {
  const size_t width = found.vectors[0].size();
  if (body.dimensions && static_cast<size_t>(*body.dimensions) != width) {
    return call.refuse({"dimensions", fmt::format("'dimensions' is {}, this model gives {} and they are not cut",
                                                  *body.dimensions, width)});
  }
  for (const std::vector<float>& vector : found.vectors) {
    if (!std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); })) {
      return call.fail({ErrorCode::kCorrupt, "the model gives no finite numbers for a text"});
    }
  }
  std::string text = R"({"object":"list","data":[)";
  for (size_t i = 0; i < found.vectors.size(); ++i) {
    text += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i == 0 ? "" : ",", i);
    append_vector(text, found.vectors[i], body.encoding_format == "base64");
    text += '}';
  }
  text += R"(],"model":)";
  append_json_string(text, model.name);
  text += fmt::format(R"(,"pooling":"{}","usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", kPooling,
                      found.prompt_tokens, found.prompt_tokens);
  call.respond({.status = 200, .headers = {}, .body = std::move(text)});
}

void embed_texts(const std::shared_ptr<Call>& call, const EmbeddingBody& body, const std::shared_ptr<Model>& model) {
  const Engine& engine = model->engine();
  std::vector<TextOrIds> texts;
  if (auto problem = read_texts(body.input, "input", kMostInputs, engine.info().n_vocab, texts)) {
    return call->refuse(*problem);
  }
  std::vector<std::vector<int32_t>> inputs;
  for (TextOrIds& text : texts) {
    // Names of control tokens in a text are text.
    auto ids = text.text ? engine.tokenize(*text.text, /*add_special=*/true, /*parse_special=*/false) : text.ids;
    auto fit = fit_prompt(*call, *model, std::move(ids), 0);
    if (!fit) return call->fail(fit.error());
    inputs.push_back(std::move(fit->ids));
  }
  embed(call, model, std::move(inputs), [call, body, model](Result<Embeddings> found) {
    if (!found) return call->fail(found.error());
    answer(*call, body, *model, *found);
  });
}

void embeddings(const std::shared_ptr<Call>& call) {
  EmbeddingBody body;
  if (!call->read(body, Unknown::kRefuse)) return;
  with_model(call, body.model, std::nullopt,
             [call, body](const std::shared_ptr<Model>& model) { embed_texts(call, body, model); });
}

Json embeddings_answer() {
  return Json::parse(R"({"type": "object", "required": ["object", "data", "model", "usage"], "properties": {
    "object": {"enum": ["list"]}, "model": {"type": "string"}, "pooling": {"type": "string"},
    "usage": {"type": "object"}, "data": {"type": "array", "items": {"type": "object",
      "required": ["object", "index", "embedding"], "properties": {"object": {"enum": ["embedding"]},
        "index": {"type": "integer"}, "embedding": {"type": ["array", "string"]}}}}}})");
}

}  // namespace

Route openai_embeddings_route() {
  return {.method = "POST",
          .path = "/v1/embeddings",
          .summary = "Texts as vectors (OpenAI)",
          .handle = embeddings,
          .body = body_schema<EmbeddingBody>,
          .response = embeddings_answer,
          .answers = {{404, "No such model"}, {504, "The deadline passed"}}};
}

}  // namespace quern::server
