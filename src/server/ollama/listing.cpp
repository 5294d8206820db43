#include "server/ollama/listing.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "server/app.h"
#include "server/ollama/values.h"

namespace quern::server::ollama {

namespace {

// What Ollama's clients get for a model that stays for ever.
constexpr double kForEver = 100 * 365.25 * 86400;

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
  return text;
}

Json row(App& app, const ModelListing& model) {
  return {{"name", model.name},
          {"model", model.name},
          {"size", model.bytes},
          {"digest", app.infos.digest(model)},
          {"details", details(app, model)}};
}

}  // namespace

Result<ModelListing> find_allowed(const Call& call, const std::string& asked) {
  QUERN_TRY(ModelListing listing, call.app.models.find(model_name(asked)));
  if (call.principal->may_use(listing.name)) return listing;
  return fail_f(ErrorCode::kNotFound, "this API key may not use the model '{}'", listing.name);
}

Json details(App& app, const ModelListing& model) {
  const ModelInfo info = app.infos.info(model);
  return {{"parent_model", ""},
          {"format", "gguf"},
          {"family", info.architecture},
          {"families", Json::array({info.architecture})},
          {"parameter_size", parameter_size(info.parameters)},
          {"quantization_level", upper(info.weight_type)}};
}

Json file_row(App& app, const ModelListing& model) {
  Json out = row(app, model);
  out["modified_at"] = rfc3339(model.modified);
  return out;
}

Json loaded_row(App& app, const ModelListing& listing, const Model& model) {
  Json out = row(app, listing);
  const double keep = std::min(model.keep_alive.load(), kForEver);
  const double unused = model.service->idle() ? now_s() - model.last_used.load() : 0;
  out["size"] = model.memory_bytes;
  out["size_vram"] = 0;
  out["context_length"] = model.engine().info().n_ctx;
  out["expires_at"] = rfc3339(wall_clock_s() + std::max(0.0, keep - unused));
  return out;
}

}  // namespace quern::server::ollama
