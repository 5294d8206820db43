// Models as /api/tags, /api/ps and /api/show list them. Any thread.
#pragma once

#include "server/call.h"
#include "server/models.h"

namespace quern::server::ollama {

// The listing of a name, as a client wrote it, that the call's key may use. kNotFound.
Result<ModelListing> find_allowed(const Call& call, const std::string& asked);

// {"format": "gguf", "family": ..., "parameter_size": ..., ...}.
Json details(App& app, const ModelListing& model);

// {"name", "model", "size", "digest", "details"}; "modified_at" for files, what /api/ps has beside for loaded models.
Json file_row(App& app, const ModelListing& model);
Json loaded_row(App& app, const ModelListing& listing, const Model& model);

}  // namespace quern::server::ollama
