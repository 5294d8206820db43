// /v1/models. Source document: platform.openai.com/docs/api-reference/models.
#include "server/app.h"
#include "server/call.h"

namespace quern::server {

namespace {

Json describe(const ModelListing& listing) {
  return {{"id", listing.name},
          {"object", "model"},
          {"created", static_cast<int64_t>(listing.modified)},
          {"owned_by", "quern"},
          {"quern", {{"bytes", listing.bytes}, {"configured", listing.configured}}}};
}

void list_models(const std::shared_ptr<Call>& call) {
  Json data = Json::array();
  for (const ModelListing& listing : call->app.models.list()) {
    if (call->principal->may_use(listing.name)) data.push_back(describe(listing));
  }
  call->respond({{"object", "list"}, {"data", std::move(data)}});
}

void show_model(const std::shared_ptr<Call>& call) {
  const std::string_view name = call->path_value("model");
  const auto listing = call->app.models.find(name);
  if (!listing && listing.error().code != ErrorCode::kNotFound) return call->fail(listing.error());
  if (!listing || !call->principal->may_use(listing->name)) {
    const std::string why =
        listing ? fmt::format("this API key may not use the model '{}'", name) : listing.error().message;
    return call->fail(404, "invalid_request_error", why, "model", "model_not_found");
  }
  call->respond(describe(*listing));
}

constexpr const char* kModelSchema = R"({"type": "object", "required": ["id", "object", "created", "owned_by"],
  "properties": {"id": {"type": "string"}, "object": {"enum": ["model"]}, "created": {"type": "integer"},
  "owned_by": {"type": "string"}, "quern": {"type": "object"}}})";

Json model_answer() {
  return Json::parse(kModelSchema);
}

Json models_answer() {
  Json schema = Json::parse(R"({"type": "object", "required": ["object", "data"], "properties": {
    "object": {"enum": ["list"]}, "data": {"type": "array"}}})");
  schema["properties"]["data"]["items"] = model_answer();
  return schema;
}

}  // namespace

Route openai_models_route() {
  return {.method = "GET",
          .path = "/v1/models",
          .summary = "The models that may be asked (OpenAI)",
          .handle = list_models,
          .response = models_answer};
}

Route openai_model_route() {
  return {.method = "GET",
          .path = "/v1/models/{model*}",
          .summary = "One model (OpenAI)",
          .handle = show_model,
          .response = model_answer,
          .answers = {{404, "No such model"}}};
}

}  // namespace quern::server
