#include "hub/pull.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "base/checked.h"
#include "base/nearest.h"
#include "hub/cache.h"
#include "hub/catalogue.h"
#include "hub/download.h"
#include "hub/http.h"
#include "hub/pip.h"
#include "hub/repo.h"
#include "hub/retry.h"
#include "hub/sha256.h"
#include "os/file.h"

namespace quern::hub {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListingPage = size_t{16} << 20;
constexpr int kMaxListingPages = 100;

std::optional<uint64_t> size_of(const std::string& path) {
  std::error_code code;
  const uint64_t size = fs::file_size(path, code);
  if (code) return std::nullopt;
  return size;
}

Status verify_file(const std::string& path, const std::string& label, std::string_view expected,
                   const PullMonitor& monitor) {
  if (expected.empty())
    return fail_f(ErrorCode::kNotFound, "{}: no hash is known for it; quern rm and pull it again", label);
  const uint64_t total = size_of(path).value_or(0);
  QUERN_TRY(const std::string found, sha256_of_file(path, [&](uint64_t done) {
              monitor.report(label, done, total);
              return !monitor.stop();
            }));
  if (found == expected) return {};
  return fail_f(ErrorCode::kCorrupt, "{}: damaged: its SHA-256 is {}, not {}; quern rm {} and pull it again", path,
                found, expected, label);
}

// Fetches one file unless it is there; the pieces of a split model come one by one.
Result<Pulled> ensure_file(DownloadRequest request, bool verify, const HubOptions& options,
                           const PullMonitor& monitor) {
  const auto size = size_of(request.path);
  const std::string recorded = known_sha256(request.path, options);
  if (!request.sha256.empty()) monitor.expect(request.label, request.sha256);
  const bool same_version = request.sha256.empty() || recorded.empty() || recorded == request.sha256;
  if (size && (!request.bytes || *size == *request.bytes) && same_version) {
    const std::string& expected = request.sha256.empty() ? recorded : request.sha256;
    if (verify) QUERN_CHECK_OK(verify_file(request.path, request.label, expected, monitor));
    return Pulled{
        .name = {}, .path = request.path, .bytes = *size, .sha256 = expected, .was_present = true, .checked = verify};
  }
  if (size) monitor.say(request.label + ": the hub has another version than this machine; pulling it");
  QUERN_CHECK_OK(make_folders(fs::path(request.path).parent_path().string()));
  QUERN_TRY(Downloaded done, download_file(request, options, monitor));
  if (!done.checked) monitor.say(request.label + ": the server gave no SHA-256 to check against; only the size was");
  return Pulled{.name = {},
                .path = request.path,
                .bytes = done.bytes,
                .sha256 = done.sha256,
                .was_present = false,
                .checked = done.checked};
}

Result<Pulled> pull_named(const CatalogueModel& model, bool verify, const HubOptions& options,
                          const PullMonitor& monitor) {
  const std::string path = catalogue_path(model.file, options);
  Pulled result{.name = std::string(model.name),
                .path = path,
                .bytes = model.bytes,
                .sha256 = std::string(model.sha256),
                .was_present = size_of(path) == model.bytes,
                .checked = true};
  monitor.expect(result.name, result.sha256);
  if (result.was_present) {
    if (verify) QUERN_CHECK_OK(verify_file(path, result.name, model.sha256, monitor));
    return result;
  }
  monitor.say(fmt::format("{} is licensed under: {}", model.name, model.licence));
  if (!model.notice.empty()) monitor.say(model.notice);
  QUERN_CHECK_OK(make_folders(options.models_dir()));
  QUERN_CHECK_OK(fetch_packages(model, path, monitor));
  return result;
}

void add_part(Pulled& model, const Pulled& part) {
  if (model.path.empty()) {
    model = part;
    return;
  }
  model.bytes += part.bytes;
  model.was_present = model.was_present && part.was_present;
  model.checked = model.checked && part.checked;
}

std::string refusal_help(const std::string& repo, const HubOptions& options) {
  return fmt::format("the repository or file does not exist, or is private or gated: accept its terms at {}/{} and {}",
                     options.endpoint, repo,
                     options.token.empty() ? "set HF_TOKEN" : "check that HF_TOKEN may read it");
}

Result<std::vector<RepoFile>> list_repo(const std::string& repo, const HubOptions& options,
                                        const PullMonitor& monitor) {
  std::vector<RepoFile> files;
  std::string url = fmt::format("{}/api/models/{}/tree/main?recursive=true", options.endpoint, repo);
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMaxListingPages) return fail_f(ErrorCode::kResource, "hf:{} lists too many files", repo);
    QUERN_TRY(HttpText text, fetch_text({.url = url,
                                         .token = options.token,
                                         .help_on_refusal = refusal_help(repo, options),
                                         .limit = kMaxListingPage},
                                        options, monitor));
    QUERN_TRY(std::vector<RepoFile> found, parse_listing(text.body));
    files.insert(files.end(), found.begin(), found.end());
    // The token goes with the request: only to the endpoint.
    url = text.head.next_page.starts_with(options.endpoint + "/") ? text.head.next_page : std::string();
  }
  return files;
}

Result<Pulled> pull_repo(const RepoSource& source, bool verify, const HubOptions& options, const PullMonitor& monitor) {
  QUERN_TRY(const std::vector<RepoFile> files, list_repo(source.repo, options, monitor));
  const std::vector<RepoModel> models = models_in(files);
  QUERN_TRY(const RepoModel model, choose_model(models, source.file, source.repo));
  if (source.file.empty() && models.size() > 1) {
    monitor.say(fmt::format("hf:{} has {} models; taking {}", source.repo, models.size(), model.path));
  }
  Pulled result;
  for (const RepoFile& file : model.parts) {
    QUERN_TRY(Pulled part, ensure_file({.url = fmt::format("{}/{}/resolve/main/{}", options.endpoint, source.repo,
                                                           url_escape_path(file.path)),
                                        .path = repo_path(source.repo, file.path, options),
                                        .label = file.path,
                                        .token = options.token,
                                        .bytes = file.bytes,
                                        .sha256 = file.sha256,
                                        .help_on_refusal = refusal_help(source.repo, options)},
                                       verify, options, monitor));
    add_part(result, part);
  }
  result.name = fmt::format("hf:{}:{}", source.repo, model.path);
  return result;
}

// The addresses of all parts of the model, and where each is kept.
struct UrlPart {
  std::string url;
  std::string path;
};
Result<std::vector<UrlPart>> url_parts(const std::string& url, const HubOptions& options) {
  QUERN_TRY(const std::string path, url_path(url, options));
  const std::string file = path.substr(path.rfind('/') + 1);
  const auto split = parse_split_name(file);
  if (!split) return std::vector<UrlPart>{{url, path}};
  const size_t at = url.rfind(file, url.find_first_of("?#"));
  const auto url_of = [&](uint32_t i) {
    return url.substr(0, at) + split_name(split->stem, i, split->count) + url.substr(at + file.size());
  };
  QUERN_TRY(const std::string first, url_path(url_of(1), options));  // the folder is named for the first part
  const std::string folder = first.substr(0, first.rfind('/') + 1);
  std::vector<UrlPart> parts;
  for (uint32_t i = 1; i <= split->count; ++i) {
    parts.push_back({url_of(i), folder + split_name(split->stem, i, split->count)});
  }
  return parts;
}

Result<Pulled> pull_url(const std::string& url, bool verify, const HubOptions& options, const PullMonitor& monitor) {
  QUERN_TRY(const std::vector<UrlPart> parts, url_parts(url, options));
  Pulled result;
  for (const UrlPart& part : parts) {
    DownloadRequest request;
    request.url = part.url;
    request.path = part.path;
    request.label = part.path.substr(part.path.rfind('/') + 1);
    QUERN_TRY(const Pulled pulled, ensure_file(request, verify, options, monitor));
    add_part(result, pulled);
  }
  result.name = parts.front().url;
  return result;
}

// An address of the hub's own site, as a browser shows it, is better read as a repository: its listing has the hash.
std::optional<RepoSource> repo_of_url(std::string_view url, const HubOptions& options) {
  if (!url.starts_with(options.endpoint + "/")) return std::nullopt;
  url = url.substr(options.endpoint.size() + 1);
  url = url.substr(0, url.find_first_of("?#"));
  for (const std::string_view way : {"/resolve/main/", "/blob/main/"}) {
    const size_t at = url.find(way);
    if (at == std::string_view::npos) continue;
    auto source =
        parse_repo_source(fmt::format("hf:{}:{}", url.substr(0, at), url_unescape(url.substr(at + way.size()))));
    if (source) return *source;
  }
  return std::nullopt;
}

}  // namespace

Result<Pulled> pull(std::string_view source, bool verify, const HubOptions& options, const PullMonitor& monitor) {
  if (const CatalogueModel* model = find_model(source)) return pull_named(*model, verify, options, monitor);
  if (source.starts_with("hf:")) {
    QUERN_TRY(const RepoSource repo, parse_repo_source(source));
    return pull_repo(repo, verify, options, monitor);
  }
  if (is_url(source)) {
    if (auto repo = repo_of_url(source, options)) return pull_repo(*repo, verify, options, monitor);
    return pull_url(std::string(source), verify, options, monitor);
  }
  std::vector<std::string_view> names;
  for (const CatalogueModel& model : catalogue()) names.push_back(model.name);
  for (const Alias& alias : aliases()) names.push_back(alias.name);
  const auto nearest = nearest_name(source, names);
  return fail_f(ErrorCode::kNotFound,
                "the catalogue has no '{}'{} (see quern list; or give hf:OWNER/REPO[:FILE] or an address)", source,
                nearest ? fmt::format("; did you mean {}?", *nearest) : "");
}

}  // namespace quern::hub
