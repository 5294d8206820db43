// POST /api/copy and DELETE /api/delete: names in the cache folder, as Ollama has them; and what Ollama has beside,
// which is refused by name: a model here is a GGUF file, made by other means.
#include "hub/cache.h"
#include "server/app.h"
#include "server/call.h"
#include "server/ollama/listing.h"
#include "server/ollama/values.h"

namespace quern::server {

namespace {

using namespace ollama;

struct CopyBody {
  std::string source, destination;

  void fields(FieldVisitor& v) {
    v.member({"source", "Name of the model", {.required = true}}, source);
    v.member({"destination", "A further name for it", {.required = true}}, destination);
  }
};

struct DeleteBody {
  std::string model, name;

  void fields(FieldVisitor& v) {
    v.member({"model", "Name of the model"}, model);
    v.member({"name", "The same, as older clients call it"}, name);
  }
};

// The files of a model that lies in the cache folder.
Result<hub::CachedModel> find_files(const Call& call, const std::string& asked, const hub::HubOptions& options) {
  QUERN_TRY(const ModelListing listing, find_allowed(call, asked));
  QUERN_TRY(const auto models, hub::cached_models(options));
  for (const hub::CachedModel& model : models) {
    if (model.path == listing.path) return model;
  }
  return fail_f(ErrorCode::kInvalidArgument, "the file of '{}' lies outside the cache folder: it is not the server's",
                listing.name);
}

Status copy_model(const Call& call, const CopyBody& body) {
  QUERN_TRY(const hub::HubOptions options, hub::hub_options_from_environment());
  QUERN_TRY(const hub::CachedModel model, find_files(call, body.source, options));
  const std::string name = hub_name(body.destination);
  if (!call.principal->may_use(name)) {
    return fail_f(ErrorCode::kInvalidArgument, "this API key may not use the model '{}'", name);
  }
  const auto taken = call.app.models.find(name);
  if (taken && taken->configured) {
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is already the name of another model", name);
  }
  QUERN_CHECK_OK(hub::copy_cached(model, name, options));
  return {};
}

void copy(const std::shared_ptr<Call>& call) {
  CopyBody body;
  if (!call->read(body, Unknown::kIgnore)) return;
  if (const auto ok = copy_model(*call, body); !ok) return call->fail(ok.error());
  call->respond({.status = 200, .headers = {}, .body = {}, .content_type = {}});
}

// A model that is in use runs on to the end of its requests: its file has no name any more, but is still there.
Status delete_model(const Call& call, const std::string& name) {
  QUERN_TRY(const hub::HubOptions options, hub::hub_options_from_environment());
  QUERN_TRY(const hub::CachedModel model, find_files(call, name, options));
  call.app.models.unload(model_name(name));
  return hub::remove_cached(model, options);
}

void remove(const std::shared_ptr<Call>& call) {
  DeleteBody body;
  if (!call->read(body, Unknown::kIgnore)) return;
  const std::string& name = body.model.empty() ? body.name : body.model;
  if (name.empty()) return call->refuse({"model", "'model' is missing"});
  if (const auto ok = delete_model(*call, name); !ok) return call->fail(ok.error());
  call->respond({.status = 200, .headers = {}, .body = {}, .content_type = {}});
}

void refuse_making(const std::shared_ptr<Call>& call) {
  call->fail(
      400, "invalid_request_error",
      fmt::format("{} is not supported: this server makes and publishes no models; put a GGUF file into its cache "
                  "folder, or pull one",
                  call->exchange->request().path),
      {}, "unsupported");
}

// Asked before a file is sent: no, and then the sending says why.
void no_blob(const std::shared_ptr<Call>& call) {
  call->fail({ErrorCode::kNotFound, "this server keeps no blobs"});
}

Route refused(std::string_view method, std::string_view path, std::string_view summary) {
  return {.method = method,
          .path = path,
          .summary = summary,
          .handle = refuse_making,
          .style = ApiStyle::kOllama,
          .answers = {{400, "Not supported"}, {413, "The body is too large"}}};
}

}  // namespace

Route ollama_copy_route() {
  return {.method = "POST",
          .path = "/api/copy",
          .summary = "A further name for a model of the cache folder (Ollama)",
          .handle = copy,
          .style = ApiStyle::kOllama,
          .body = body_schema<CopyBody>,
          .answers = {{404, "No such model"}}};
}

Route ollama_delete_route() {
  return {.method = "DELETE",
          .path = "/api/delete",
          .summary = "Remove a model from the cache folder (Ollama)",
          .handle = remove,
          .style = ApiStyle::kOllama,
          .body = body_schema<DeleteBody>,
          .answers = {{404, "No such model"}}};
}

Route ollama_create_route() {
  return refused("POST", "/api/create", "Not supported: models are made by other means");
}

Route ollama_push_route() {
  return refused("POST", "/api/push", "Not supported: models are published by other means");
}

Route ollama_blobs_route() {
  return refused("POST", "/api/blobs/{digest}", "Not supported: no files are taken");
}

Route ollama_check_blob_route() {
  return {.method = "HEAD",
          .path = "/api/blobs/{digest}",
          .summary = "Whether there is a blob: never",
          .handle = no_blob,
          .style = ApiStyle::kOllama,
          .answers = {{404, "There is none"}}};
}

}  // namespace quern::server
