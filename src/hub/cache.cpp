#include "hub/cache.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/checked.h"
#include "base/nearest.h"
#include "hub/catalogue.h"
#include "hub/repo.h"
#include "hub/sha256.h"
#include "os/file.h"

namespace quern::hub {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCopies = "copies/", kExtension = ".gguf";
constexpr size_t kMaxFiles = 100000;  // a cache folder that someone pointed at a whole disk

std::string name_of(const std::string& relative) {
  for (const CatalogueModel& model : catalogue()) {
    if (model.file == relative) return std::string(model.name);
  }
  if (relative.starts_with("hf/")) {
    const size_t owner_end = relative.find('/', 3);
    const size_t repo_end = owner_end == std::string::npos ? owner_end : relative.find('/', owner_end + 1);
    if (repo_end != std::string::npos) {
      return fmt::format("hf:{}:{}", relative.substr(3, repo_end - 3), relative.substr(repo_end + 1));
    }
  }
  if (relative.starts_with(kCopies)) {
    const std::string name = relative.substr(kCopies.size());
    const auto split = parse_split_name(name);
    return split ? split->stem : name.substr(0, name.size() - kExtension.size());
  }
  return relative;
}

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

Result<std::vector<std::string>> gguf_files(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code code;
  if (!fs::exists(folder, code)) return paths;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, code), end;
  for (; !code && it != end; it.increment(code)) {
    if (it->path().extension() == ".gguf" && it->is_regular_file(code)) paths.push_back(it->path().string());
    if (paths.size() > kMaxFiles) return fail_f(ErrorCode::kResource, "{}: more than {} models", folder, kMaxFiles);
  }
  if (code) return fail_f(ErrorCode::kIo, "{}: cannot be listed: {}", folder, code.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

tl::unexpected<Error> not_here(std::string_view name) {
  if (find_model(name) != nullptr || name.starts_with("hf:") || is_url(name)) {
    return fail_f(ErrorCode::kNotFound, "{} is not on this machine yet: quern pull {}", name, name);
  }
  if (name.find('/') != std::string_view::npos || name.ends_with(".gguf")) {
    return fail_f(ErrorCode::kNotFound, "{}: there is no such file", name);
  }
  std::vector<std::string_view> names;
  for (const CatalogueModel& model : catalogue()) names.push_back(model.name);
  for (const Alias& alias : aliases()) names.push_back(alias.name);
  const auto nearest = nearest_name(name, names);
  return fail_f(ErrorCode::kNotFound, "there is no file and no model '{}'{} (see quern list)", name,
                nearest ? fmt::format("; did you mean {}?", *nearest) : "");
}

// "hf:OWNER/REPO:FILE" where FILE is a part of a name, chosen among what is here as pull() chooses among all.
const CachedModel* chosen_of_repo(std::string_view name, std::span<const CachedModel> models) {
  const auto source = parse_repo_source(name);
  if (!source || source->file.empty()) return nullptr;
  const std::string prefix = fmt::format("hf:{}:", source->repo);
  std::vector<RepoModel> here;
  for (const CachedModel& model : models) {
    if (!model.name.starts_with(prefix)) continue;
    const std::string file = model.name.substr(prefix.size());
    here.push_back({.path = file, .parts = {{.path = file, .bytes = model.bytes, .sha256 = {}}}});
  }
  if (here.empty()) return nullptr;
  const auto chosen = choose_model(here, source->file, source->repo);
  if (!chosen) return nullptr;
  for (const CachedModel& model : models) {
    if (model.name == prefix + chosen->path) return &model;
  }
  return nullptr;
}

// The folder of a file, links resolved, where it lies in the cache folder.
Result<fs::path> folder_inside(const fs::path& root, const std::string& file) {
  std::error_code code;
  fs::path folder = fs::canonical(fs::path(file).parent_path(), code);
  if (code) return fail_f(ErrorCode::kIo, "{}: {}", file, code.message());
  if (std::mismatch(root.begin(), root.end(), folder.begin(), folder.end()).first != root.end()) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: lies outside the cache folder, nothing was done", file);
  }
  return folder;
}

Result<fs::path> models_root(const HubOptions& options) {
  std::error_code code;
  fs::path root = fs::canonical(options.models_dir(), code);
  if (code) return fail_f(ErrorCode::kIo, "{}: {}", options.models_dir(), code.message());
  return root;
}

Status check_copy_name(std::string_view name, const HubOptions& options) {
  const std::string file = fmt::format("{}{}", name, kExtension);
  if (!is_safe_path(file) || name.empty() || parse_split_name(file) || name.starts_with("hf:") || is_url(name)) {
    return fail_f(ErrorCode::kInvalidArgument,
                  "'{}' cannot be the name of a copy: say a plain name, or names joined by /", name);
  }
  const auto other = find_cached(name, options);
  const bool copy = other && other->path.starts_with(options.models_dir() + "/" + std::string(kCopies));
  if (find_model(name) != nullptr || (other && !copy)) {
    return fail_f(ErrorCode::kInvalidArgument, "'{}' is already the name of another model", name);
  }
  return {};
}

// A second name for the bytes of `from`, over what `to` was.
Status link_file(const std::string& from, const std::string& to) {
  const std::string fresh = to + ".new";
  std::error_code code;
  fs::remove(fresh, code);
  fs::create_hard_link(from, fresh, code);
  if (code) {
    code.clear();
    fs::copy_file(from, fresh, code);
  }
  if (code) return fail_f(ErrorCode::kIo, "{}: cannot be copied to {}: {}", from, to, code.message());
  QUERN_CHECK_OK(rename_file(fresh, to));
  fs::remove(fresh, code);  // rename leaves it where both were the same file
  return {};
}

}  // namespace

bool is_url(std::string_view text) {
  return text.starts_with("https://") || text.starts_with("http://");
}

std::string catalogue_path(std::string_view file, const HubOptions& options) {
  return fmt::format("{}/{}", options.models_dir(), file);
}

std::string repo_path(std::string_view repo, std::string_view file, const HubOptions& options) {
  return fmt::format("{}/hf/{}/{}", options.models_dir(), repo, file);
}

Result<std::string> url_path(std::string_view url, const HubOptions& options) {
  const std::string_view path = url.substr(0, url.find_first_of("?#"));
  const std::string_view file = path.substr(path.rfind('/') + 1);
  if (!is_safe_path(file) || !file.ends_with(".gguf")) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: the address of a model ends in FILE.gguf", url);
  }
  Sha256 hash;
  hash.update(std::as_bytes(std::span(url)));
  return fmt::format("{}/url/{}/{}", options.models_dir(), hash.finish().substr(0, 12), file);
}

Result<std::vector<CachedModel>> cached_models(const HubOptions& options) {
  const std::string folder = options.models_dir();
  QUERN_TRY(const std::vector<std::string> paths, gguf_files(folder));
  std::vector<CachedModel> models;
  for (const std::string& path : paths) {
    std::error_code code;
    const uint64_t bytes = fs::file_size(path, code);
    if (code) continue;  // removed meanwhile
    const auto split = parse_split_name(path);
    // Sorted, the parts of a split model follow its first.
    if (split && split->index > 1 && !models.empty()) {
      const auto first = parse_split_name(models.back().path);
      if (first && first->stem == split->stem && first->count == split->count) {
        models.back().parts.push_back(path);
        models.back().bytes += bytes;
        continue;
      }
    }
    models.push_back({name_of(path.substr(folder.size() + 1)), path, {path}, bytes});
  }
  return models;
}

Result<CachedModel> find_cached(std::string_view name, const HubOptions& options) {
  QUERN_TRY(const std::vector<CachedModel> models, cached_models(options));
  std::string wanted(name);
  if (const CatalogueModel* model = find_model(name)) wanted = model->name;
  std::string url_file;
  if (is_url(name)) {
    QUERN_TRY(url_file, url_path(name, options));
  }
  std::vector<const CachedModel*> found;
  for (const CachedModel& model : models) {
    if (model.name == wanted || model.path == url_file) return model;
    const bool in_repo =
        name.starts_with("hf:") && name.find(':', 3) == std::string_view::npos && model.name.starts_with(wanted + ":");
    if (in_repo || file_name(model.path) == wanted || file_name(model.path) == wanted + ".gguf")
      found.push_back(&model);
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    if (const CachedModel* chosen = chosen_of_repo(name, models)) return *chosen;
    return not_here(name);
  }
  std::string list;
  for (const CachedModel* model : found) list += "\n  " + model->name;
  return fail_f(ErrorCode::kInvalidArgument, "'{}' is the name of several models; say one of:{}", name, list);
}

Result<std::string> resolve_model(std::string_view name_or_path, const HubOptions& options) {
  std::error_code code;
  if (fs::is_regular_file(fs::path(name_or_path), code)) return std::string(name_or_path);
  if (fs::exists(fs::path(name_or_path), code)) {
    return fail_f(ErrorCode::kInvalidArgument, "{}: is not a model file", name_or_path);
  }
  QUERN_TRY(CachedModel model, find_cached(name_or_path, options));
  return model.path;
}

Status remove_cached(const CachedModel& model, const HubOptions& options) {
  QUERN_TRY(const fs::path root, models_root(options));
  for (const std::string& part : model.parts) {
    // The folder is resolved, the file itself is not: a link in the cache is removed, not what it points to.
    QUERN_TRY(const fs::path folder, folder_inside(root, part));
    std::error_code code;
    for (const char* suffix : {".part", ".part.etag", ".sha256"}) fs::remove(part + suffix, code);
    if (!fs::remove(part, code) && code)
      return fail_f(ErrorCode::kIo, "{}: cannot be removed: {}", part, code.message());
    // Empty folders of a repository go with its last file; remove() refuses the others.
    for (fs::path up = folder; up != root && fs::remove(up, code) && !code; up = up.parent_path()) {
    }
  }
  return {};
}

Result<CachedModel> copy_cached(const CachedModel& model, std::string_view name, const HubOptions& options) {
  QUERN_CHECK_OK(check_copy_name(name, options));
  if (model.name == name) return model;
  QUERN_TRY(const fs::path root, models_root(options));
  for (const std::string& part : model.parts) QUERN_CHECK_OK(folder_inside(root, part));
  if (const auto older = find_cached(name, options)) QUERN_CHECK_OK(remove_cached(*older, options));
  const std::string stem = fmt::format("{}/{}{}", options.models_dir(), kCopies, name);
  QUERN_CHECK_OK(make_folders(fs::path(stem).parent_path().string()));
  CachedModel copy{.name = std::string(name), .path = {}, .parts = {}, .bytes = model.bytes};
  const auto n = static_cast<uint32_t>(model.parts.size());
  for (uint32_t i = 0; i < n; ++i) {
    const std::string to = n == 1 ? stem + std::string(kExtension) : split_name(stem, i + 1, n);
    QUERN_CHECK_OK(link_file(model.parts[i], to));
    std::error_code code;
    if (fs::exists(model.parts[i] + ".sha256", code)) {
      QUERN_CHECK_OK(link_file(model.parts[i] + ".sha256", to + ".sha256"));
    }
    copy.parts.push_back(to);
  }
  copy.path = copy.parts.front();
  return copy;
}

std::string known_sha256(const std::string& path, const HubOptions& options) {
  for (const CatalogueModel& model : catalogue()) {
    std::error_code code;
    if (path == catalogue_path(model.file, options) && fs::file_size(path, code) == model.bytes && !code) {
      return std::string(model.sha256);
    }
  }
  auto file = File::open(path + ".sha256", File::Mode::kRead);
  if (!file) return {};
  std::string text(64, '\0');
  const auto n = file->read(std::as_writable_bytes(std::span(text)));
  return n && *n == text.size() && is_sha256(text) ? text : std::string();
}

}  // namespace quern::hub
