// The models that are there: finding, listing and removing files of the cache folder.
//
// Layout of cache_dir/models: a catalogue model under its file name; hf:OWNER/REPO:FILE as hf/OWNER/REPO/FILE; another
// address as url/<12 digits of its SHA-256>/FILE; what copy_cached() named NAME as copies/NAME.gguf. Beside a fetched
// file lies FILE.sha256. Functions may be called from any thread; another process may change the folder between two
// calls.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/options.h"

namespace quern::hub {

struct CachedModel {
  std::string name;                // as pull, rm and every MODEL argument take it
  std::string path;                // of the first part
  std::vector<std::string> parts;  // all files, at least one
  uint64_t bytes = 0;
};

// All GGUF models in the cache folder, sorted by path; empty when there is no folder.
Result<std::vector<CachedModel>> cached_models(const HubOptions& options);

// By catalogue name, alias, "hf:OWNER/REPO[:FILE]" (FILE as pull() takes it), address, name of a copy, or file name in
// the cache. kNotFound says what to do; kInvalidArgument where several match.
Result<CachedModel> find_cached(std::string_view name, const HubOptions& options);

// The file that a MODEL argument means: a path that exists, else find_cached.
Result<std::string> resolve_model(std::string_view name_or_path, const HubOptions& options);

// Removes the model's files, their hashes and unfinished parts; refuses any path outside the cache folder.
Status remove_cached(const CachedModel& model, const HubOptions& options);

// Gives the model a further name. The files are linked, so that the copy takes no room and outlives the original; where
// the disk has no links, they are copied. An older copy of that name goes. kInvalidArgument: a name that is no relative
// path of plain components or already means something else, or a model outside the cache folder.
Result<CachedModel> copy_cached(const CachedModel& model, std::string_view name, const HubOptions& options);

// The SHA-256 that the file had when it was fetched, without reading it: the catalogue's, or what was written beside
// it. Empty where none is known.
std::string known_sha256(const std::string& path, const HubOptions& options);

// Where a source is kept, its folder not created.
std::string catalogue_path(std::string_view file, const HubOptions& options);
std::string repo_path(std::string_view repo, std::string_view file, const HubOptions& options);
Result<std::string> url_path(std::string_view url, const HubOptions& options);

bool is_url(std::string_view text);

}  // namespace quern::hub
