#include "cli/model_file.h"

#include "hub/cache.h"

namespace quern::cli {

Result<ModelFile> ModelFile::open(std::string_view name_or_path) {
  QUERN_TRY(const hub::HubOptions options, hub::hub_options_from_environment());
  QUERN_TRY(const std::string path, hub::resolve_model(name_or_path, options));
  QUERN_TRY(const std::vector<std::string> paths, split_paths(path));
  std::vector<MappedFile> files;
  std::vector<GgufView> parts;
  for (const std::string& part : paths) {
    QUERN_TRY(MappedFile file, MappedFile::open(part));
    QUERN_TRY(GgufView view, GgufView::parse(file.bytes(), part));
    files.push_back(std::move(file));  // moving keeps the mapping where it is
    parts.push_back(std::move(view));
  }
  QUERN_TRY(GgufView view, GgufView::join(std::move(parts)));
  return ModelFile(std::move(files), std::move(view));
}

}  // namespace quern::cli
