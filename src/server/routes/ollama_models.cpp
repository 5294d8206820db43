// GET /, /api/version, /api/tags, /api/ps and POST /api/show: what there is, as Ollama tells it.
#include "engine/model_summary.h"
#include "server/app.h"
#include "server/call.h"
#include "server/ollama/listing.h"
#include "server/ollama/values.h"

namespace quern::server {

namespace {

using namespace ollama;

// The version of Ollama whose API this is: clients compare it with what they need. Ours stands beside it.
constexpr const char* kApiVersion = "0.12.11";

void root(const std::shared_ptr<Call>& call) {
  // Clients that look for Ollama on port 11434 compare these words.
  call->respond(
      {.status = 200, .headers = {}, .body = "Ollama is running", .content_type = "text/plain; charset=utf-8"});
}

void version(const std::shared_ptr<Call>& call) {
  call->respond({{"version", kApiVersion}, {"quern", QUERN_VERSION}});
}

void tags(const std::shared_ptr<Call>& call) {
  Json models = Json::array();
  for (const ModelListing& model : call->app.models.list()) {
    if (call->principal->may_use(model.name)) models.push_back(file_row(call->app, model));
  }
  call->respond({{"models", std::move(models)}});
}

void ps(const std::shared_ptr<Call>& call) {
  Json models = Json::array();
  for (const auto& model : call->app.models.loaded()) {
    if (!call->principal->may_use(model->name)) continue;
    // The file may be gone from the disk while the model still runs.
    auto listing = call->app.models.find(model->name);
    if (!listing || listing->path != model->path) {
      listing = ModelListing{.name = model->name, .path = model->path, .bytes = 0, .modified = model->created};
    }
    models.push_back(loaded_row(call->app, *listing, *model));
  }
  call->respond({{"models", std::move(models)}});
}

struct ShowBody {
  std::string model, name;
  bool verbose = false;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model"}, model);
    v.member({"name", "The same, as older clients call it"}, name);
    v.member({"verbose", "Vocabularies and other arrays as well"}, verbose);
    v.refuse("system", "a model's system message is not kept here", {"\"\""});
    v.refuse("options", "a model's options are not kept here", {"{}"});
  }
};

Json json_of(const MetadataScalar& value) {
  return std::visit([](const auto& v) { return Json(v); }, value);
}

// An array that was not asked for is null, as Ollama has it.
Json model_info(const ModelSummary& summary, bool verbose) {
  Json all = Json::object();
  for (const MetadataKey& key : summary.keys) {
    if (key.name == "tokenizer.chat_template") continue;  // it is `template`
    if (!key.is_array) {
      all[key.name] = json_of(key.values.front());
    } else if (verbose) {
      Json items = Json::array();
      for (const MetadataScalar& value : key.values) items.push_back(json_of(value));
      all[key.name] = std::move(items);
    } else {
      all[key.name] = nullptr;
    }
  }
  all["general.parameter_count"] = summary.parameters;
  return all;
}

Json capabilities(const ModelSummary& summary) {
  Json all = Json::array({"completion"});
  if (summary.pools) all.push_back("embedding");
  return all;
}

void show(const std::shared_ptr<Call>& call) {
  ShowBody body;
  if (!call->read(body, Unknown::kIgnore)) return;
  const std::string& name = body.model.empty() ? body.name : body.model;
  if (name.empty()) return call->refuse({"model", "'model' is missing"});
  const auto listing = find_allowed(*call, name);
  if (!listing) return call->fail(listing.error());
  const auto summary = summarize_model(listing->path, body.verbose);
  if (!summary) return call->fail(summary.error());
  Json answer = {{"modelfile", fmt::format("FROM {}\n", listing->name)},
                 {"parameters", ""},
                 {"template", summary->chat_template},
                 {"details", details(call->app, *listing)},
                 {"model_info", model_info(*summary, body.verbose)},
                 {"capabilities", capabilities(*summary)},
                 {"modified_at", rfc3339(listing->modified)}};
  if (!summary->licence.empty()) answer["license"] = summary->licence;
  call->respond(answer);
}

Json version_schema() {
  return Json::parse(R"({"type": "object", "required": ["version"], "properties": {"version": {"type": "string"},
    "quern": {"type": "string"}}})");
}

Json models_schema() {
  return Json::parse(R"({"type": "object", "required": ["models"], "properties": {"models": {"type": "array",
    "items": {"type": "object", "required": ["name", "model", "size", "digest", "details"], "properties": {
      "name": {"type": "string"}, "model": {"type": "string"}, "size": {"type": "integer"},
      "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "details": {"type": "object"}}}}}})");
}

Json show_schema() {
  return Json::parse(R"({"type": "object", "required": ["template", "details", "model_info", "capabilities"],
    "properties": {"template": {"type": "string"}, "details": {"type": "object"}, "model_info": {"type": "object"},
      "capabilities": {"type": "array", "items": {"type": "string"}}}})");
}

}  // namespace

Route ollama_root_route() {
  return {.method = "GET",
          .path = "/",
          .summary = "The words by which clients find Ollama",
          .handle = root,
          .style = ApiStyle::kOllama,
          .open = true,
          .quick = true,
          .produces = "text/plain"};
}

Route ollama_version_route() {
  return {.method = "GET",
          .path = "/api/version",
          .summary = "The version of Ollama's API that this is",
          .handle = version,
          .style = ApiStyle::kOllama,
          .response = version_schema,
          .open = true,
          .quick = true};
}

Route ollama_tags_route() {
  return {.method = "GET",
          .path = "/api/tags",
          .summary = "The models that there are (Ollama)",
          .handle = tags,
          .style = ApiStyle::kOllama,
          .response = models_schema};
}

Route ollama_ps_route() {
  return {.method = "GET",
          .path = "/api/ps",
          .summary = "The models that are loaded (Ollama)",
          .handle = ps,
          .style = ApiStyle::kOllama,
          .response = models_schema};
}

Route ollama_show_route() {
  return {.method = "POST",
          .path = "/api/show",
          .summary = "What a model's file says of it (Ollama)",
          .handle = show,
          .style = ApiStyle::kOllama,
          .body = body_schema<ShowBody>,
          .response = show_schema,
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
