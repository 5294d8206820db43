// POST /api/embed and /api/embeddings: texts to vectors, as Ollama has them.
#include <cmath>

#include "base/clock.h"
#include "server/app.h"
#include "server/embeddings.h"
#include "server/generation.h"
#include "server/ollama/options.h"
#include "server/ollama/reply.h"
#include "server/ollama/values.h"

namespace quern::server {

namespace {

using namespace ollama;

// What both endpoints have in common. Of the options, num_ctx alone means something here.
struct EmbedBase {
  std::string model;
  Json options_json, keep_alive_json;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model", {.required = true}}, model);
    v.member({"options", "Of these, num_ctx"}, options_json, options_schema());
    v.member({"keep_alive", "How long the model stays afterwards"}, keep_alive_json, kKeepAliveSchema);
  }
};

struct EmbedBody : EmbedBase {
  std::vector<std::string> input;
  std::optional<bool> truncate;
  int64_t dimensions = 0;

  void fields(FieldVisitor& v) {
    EmbedBase::fields(v);
    v.member({"input", "A text or several", {.required = true}}, input);
    v.member(
        {"truncate", "A text that is too long loses its end, or (false) is refused; absent: by the server's policy"},
        truncate);
    v.member({"dimensions", "The first that many numbers of each vector alone, at length 1 again", {.min = 0}},
             dimensions);
  }
};

struct EmbeddingsBody : EmbedBase {
  std::string prompt;

  void fields(FieldVisitor& v) {
    EmbedBase::fields(v);
    v.member({"prompt", "The text", {.required = true}}, prompt);
  }
};

struct EmbedTask {
  std::string model;
  Options options;
  std::optional<double> keep_alive;
  std::vector<std::string> texts;
  std::optional<bool> truncate;
  double start = 0;
};

using Done = std::function<void(const Model&, Embeddings, double load_seconds)>;

// The tokens of one text, cut by what the request or else the server's policy says.
Result<std::vector<int32_t>> text_ids(Call& call, const Model& model, const EmbedTask& task, const std::string& text,
                                      size_t n_ctx) {
  std::vector<int32_t> ids = tokenize_prompt(model.engine(), text);
  const size_t room = n_ctx == 0 ? model.engine().info().n_ctx : n_ctx;
  if (ids.size() <= room) return ids;
  if (!task.truncate) {
    QUERN_TRY(PromptFit fitted, fit_prompt(call, model, std::move(ids), n_ctx));
    return std::move(fitted.ids);
  }
  if (!*task.truncate) {
    return fail_f(ErrorCode::kTooLong, "the text needs {} tokens, the context holds {}, and 'truncate' is false",
                  ids.size(), room);
  }
  const size_t removed = ids.size() - room;
  call.headers.emplace_back("x-quern-truncated", fmt::format("end; removed={}", removed));
  call.record.truncation = fmt::format("end: {} tokens", removed);
  model.metrics->truncated("end", removed);
  ids.resize(room);
  return ids;
}

void embed_texts(const std::shared_ptr<Call>& call, const EmbedTask& task, const Done& done) {
  with_model(call, model_name(task.model), task.keep_alive, [call, task, done](const std::shared_ptr<Model>& model) {
    const double load_seconds = now_s() - task.start;
    const auto options = task.options.for_engine(model->engine().info().n_ctx, 0);
    if (!options) return call->fail(options.error());
    std::vector<std::vector<int32_t>> inputs;
    for (const std::string& text : task.texts) {
      auto ids = text_ids(*call, *model, task, text, options->n_ctx);
      if (!ids) return call->fail(ids.error());
      inputs.push_back(std::move(*ids));
    }
    embed(call, model, std::move(inputs), [call, model, done, load_seconds](Result<Embeddings> result) {
      if (!result) return call->fail(result.error());
      done(*model, std::move(*result), load_seconds);
    });
  });
}

// Reads options and keep_alive; false when something was wrong and has been answered.
bool read_task(Call& call, const EmbedBase& body, EmbedTask& task) {
  std::vector<std::string> ignored;
  auto problem = read_options(body.options_json, task.options, ignored);
  if (body.model.empty()) problem = {"model", "'model' is empty, expected the name of a model"};
  if (problem) {
    call.refuse(*problem);
    return false;
  }
  ignored.clear();  // the others choose tokens, and no token is chosen here
  for (const auto& [name, value] : body.options_json.items()) {
    if (name != "num_ctx") ignored.push_back("options." + name);
  }
  call.tell_ignored(ignored);
  const auto keep_alive = read_keep_alive(body.keep_alive_json);
  if (!keep_alive) {
    call.fail(keep_alive.error());
    return false;
  }
  task.model = body.model;
  task.keep_alive = *keep_alive;
  task.start = now_s();
  return true;
}

void shorten(std::vector<float>& vector, size_t dimensions) {
  vector.resize(dimensions);
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  const double length = std::sqrt(sum);
  if (!(length > 0)) return;
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
}

void embed_route(const std::shared_ptr<Call>& call) {
  EmbedBody body;
  EmbedTask task;
  if (!call->read(body, Unknown::kIgnore) || !read_task(*call, body, task)) return;
  task.texts = std::move(body.input);
  task.truncate = body.truncate;
  // Embedding nothing loads the model.
  if (task.texts.empty()) {
    return with_model(call, model_name(task.model), task.keep_alive, [call, task](const std::shared_ptr<Model>&) {
      call->respond({{"model", task.model}, {"embeddings", Json::array()}});
    });
  }
  const auto dimensions = static_cast<size_t>(body.dimensions);
  embed_texts(call, task, [call, task, dimensions](const Model&, Embeddings all, double load_seconds) {
    const size_t d_model = all.vectors.front().size();
    if (dimensions > d_model) {
      return call->refuse(
          {"dimensions", fmt::format("'dimensions' is {}, the model's vectors have {}", dimensions, d_model)});
    }
    if (dimensions != 0 && dimensions < d_model) {
      for (auto& vector : all.vectors) shorten(vector, dimensions);
    }
    call->respond({{"model", task.model},
                   {"embeddings", std::move(all.vectors)},
                   {"total_duration", nanoseconds(now_s() - task.start)},
                   {"load_duration", nanoseconds(load_seconds)},
                   {"prompt_eval_count", all.prompt_tokens}});
  });
}

void embeddings_route(const std::shared_ptr<Call>& call) {
  EmbeddingsBody body;
  EmbedTask task;
  if (!call->read(body, Unknown::kIgnore) || !read_task(*call, body, task)) return;
  if (body.prompt.empty()) {
    return with_model(call, model_name(task.model), task.keep_alive,
                      [call](const std::shared_ptr<Model>&) { call->respond({{"embedding", Json::array()}}); });
  }
  task.texts = {std::move(body.prompt)};
  embed_texts(call, task, [call](const Model&, Embeddings all, double) {
    call->respond({{"embedding", std::move(all.vectors.front())}});
  });
}

Json embed_schema() {
  return Json::parse(R"({"type": "object", "required": ["model", "embeddings"], "properties": {
    "model": {"type": "string"},
    "embeddings": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    "total_duration": {"type": "integer"}, "load_duration": {"type": "integer"},
    "prompt_eval_count": {"type": "integer"}}})");
}

Json embeddings_schema() {
  return Json::parse(R"({"type": "object", "required": ["embedding"], "properties": {
    "embedding": {"type": "array", "items": {"type": "number"}}}})");
}

}  // namespace

Route ollama_embed_route() {
  return {.method = "POST",
          .path = "/api/embed",
          .summary = "Texts to vectors (Ollama)",
          .handle = embed_route,
          .style = ApiStyle::kOllama,
          .body = body_schema<EmbedBody>,
          .response = embed_schema,
          .answers = {{404, "No such model"}}};
}

Route ollama_embeddings_route() {
  return {.method = "POST",
          .path = "/api/embeddings",
          .summary = "A text to its vector, as older clients ask (Ollama)",
          .handle = embeddings_route,
          .style = ApiStyle::kOllama,
          .body = body_schema<EmbeddingsBody>,
          .response = embeddings_schema,
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
