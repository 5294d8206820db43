#include "engine/model_file.h"

namespace quern {

Result<std::unique_ptr<ModelFile>> ModelFile::open(const std::string& path, bool use_mmap) {
  QUERN_TRY(const std::vector<std::string> paths, split_paths(path));
  std::vector<MappedFile> files;
  std::vector<GgufView> parts;
  for (const std::string& p : paths) {
    auto file = MappedFile::open(p, use_mmap);
    if (!file) {
      if (paths.size() == 1) return tl::unexpected<Error>(file.error());
      return fail_f(file.error().code, "{} (one of the {} parts of {})", file.error().message, paths.size(), path);
    }
    QUERN_TRY(GgufView part, GgufView::parse(file->bytes(), p));
    files.push_back(std::move(*file));
    parts.push_back(std::move(part));
  }
  QUERN_TRY(GgufView view, GgufView::join(std::move(parts)));
  return std::unique_ptr<ModelFile>(new ModelFile(std::move(files), std::move(view)));
}

std::vector<const MappedFile*> ModelFile::files() const {
  std::vector<const MappedFile*> all;
  for (const MappedFile& f : files_) all.push_back(&f);
  return all;
}

void ModelFile::release_pages() const {
  for (const MappedFile& f : files_) f.release(0, f.bytes().size());
}

}  // namespace quern
