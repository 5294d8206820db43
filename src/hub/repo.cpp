#include "hub/repo.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "hub/catalogue.h"
#include "hub/sha256.h"

namespace quern::hub {

namespace {

constexpr size_t kMaxPath = 512;
constexpr size_t kMaxRepoPart = 96;
constexpr uint32_t kMaxSplitParts = 4096;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::string_view file_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_word(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
}

// Whether `tag` stands in the file's name between separators, in any case: q4_0 is in "a.Q4_0.gguf", not in "a-Q4_0_8".
bool bears_tag(std::string_view path, std::string_view tag) {
  const std::string name = lower(file_name(path)), wanted = lower(tag);
  for (size_t at = name.find(wanted); at != std::string::npos; at = name.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    if ((at == 0 || !is_word(name[at - 1])) && (end == name.size() || !is_word(name[end]))) return true;
  }
  return false;
}

bool is_repo_part(std::string_view part) {
  if (part.empty() || part.size() > kMaxRepoPart || part.starts_with('.')) return false;
  return std::all_of(part.begin(), part.end(), [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

std::string list_models(std::span<const RepoModel> models, std::string_view repo) {
  std::string text;
  for (const RepoModel& model : models) {
    text += fmt::format("\n  hf:{}:{}  ({:.1f} MB)", repo, model.path, static_cast<double>(model.bytes()) / 1e6);
  }
  return text;
}

template <class Match>
std::vector<const RepoModel*> matching(std::span<const RepoModel> models, Match match) {
  std::vector<const RepoModel*> found;
  for (const RepoModel& model : models) {
    if (match(model)) found.push_back(&model);
  }
  return found;
}

uint32_t digits(std::string_view text) {
  uint32_t value = 0;
  for (char c : text) value = value * 10 + static_cast<uint32_t>(c - '0');
  return value;
}

}  // namespace

uint64_t RepoModel::bytes() const {
  uint64_t sum = 0;
  for (const RepoFile& part : parts) sum = checked_add(sum, part.bytes).value_or(UINT64_MAX);
  return sum;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127 || c == '\\') return false;
  }
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<RepoSource> parse_repo_source(std::string_view text) {
  const auto wrong = [&] { return fail_f(ErrorCode::kInvalidArgument, "'{}' is not hf:OWNER/REPO[:FILE]", text); };
  if (!text.starts_with("hf:")) return wrong();
  std::string_view repo = text.substr(3);
  RepoSource source;
  if (const size_t colon = repo.find(':'); colon != std::string_view::npos) {
    source.file = repo.substr(colon + 1);
    if (!is_safe_path(source.file)) return wrong();
    repo = repo.substr(0, colon);
  }
  const size_t slash = repo.find('/');
  if (slash == std::string_view::npos || !is_repo_part(repo.substr(0, slash)) ||
      !is_repo_part(repo.substr(slash + 1))) {
    return wrong();
  }
  source.repo = repo;
  return source;
}

Result<std::vector<RepoFile>> parse_listing(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return fail(ErrorCode::kCorrupt, "the hub's listing is not a JSON array");
  std::vector<RepoFile> files;
  for (const auto& entry : json) {
    if (!entry.is_object()) continue;
    const auto type = entry.find("type"), path = entry.find("path"), size = entry.find("size"), lfs = entry.find("lfs");
    if (type == entry.end() || *type != "file" || path == entry.end() || !path->is_string()) continue;
    if (size == entry.end() || !size->is_number_unsigned()) continue;
    RepoFile file{.path = path->get<std::string>(), .bytes = size->get<uint64_t>(), .sha256 = {}};
    if (lfs != entry.end() && lfs->is_object()) {
      const auto oid = lfs->find("oid"), real_size = lfs->find("size");
      if (oid != lfs->end() && oid->is_string() && is_sha256(oid->get_ref<const std::string&>())) {
        file.sha256 = lower(oid->get_ref<const std::string&>());
      }
      if (real_size != lfs->end() && real_size->is_number_unsigned()) file.bytes = real_size->get<uint64_t>();
    }
    if (is_safe_path(file.path)) files.push_back(std::move(file));
  }
  return files;
}

std::optional<SplitName> parse_split_name(std::string_view file) {
  constexpr std::string_view kShape = "-#####-of-#####.gguf";
  if (file.size() <= kShape.size()) return std::nullopt;
  const std::string_view tail = file.substr(file.size() - kShape.size());
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = tail[i] >= '0' && tail[i] <= '9';
    if (kShape[i] == '#' ? !digit : tail[i] != kShape[i]) return std::nullopt;
  }
  SplitName name{std::string(file.substr(0, file.size() - tail.size())), digits(tail.substr(1, 5)),
                 digits(tail.substr(10, 5))};
  if (name.index == 0 || name.index > name.count || name.count > kMaxSplitParts) return std::nullopt;
  return name;
}

std::string split_name(std::string_view stem, uint32_t index, uint32_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, index, count);
}

std::vector<RepoModel> models_in(std::span<const RepoFile> files) {
  std::vector<RepoModel> models;
  for (const RepoFile& file : files) {
    if (!file.path.ends_with(".gguf") || bears_tag(file.path, "mmproj") || bears_tag(file.path, "imatrix")) continue;
    const auto split = parse_split_name(file.path);
    if (!split) {
      models.push_back({file.path, {file}});
      continue;
    }
    if (split->index != 1) continue;
    RepoModel model{file.path, {file}};
    for (uint32_t i = 2; i <= split->count; ++i) {
      const std::string path = split_name(split->stem, i, split->count);
      const auto part = std::find_if(files.begin(), files.end(), [&](const RepoFile& f) { return f.path == path; });
      if (part == files.end()) break;
      model.parts.push_back(*part);
    }
    if (model.parts.size() == split->count) models.push_back(std::move(model));
  }
  return models;
}

Result<RepoModel> choose_model(std::span<const RepoModel> models, std::string_view wanted, std::string_view repo) {
  if (models.empty()) return fail_f(ErrorCode::kNotFound, "hf:{} has no GGUF file", repo);
  if (!wanted.empty()) {
    for (const auto& found : {matching(models, [&](const RepoModel& m) { return m.path == wanted; }),
                              matching(models, [&](const RepoModel& m) { return file_name(m.path) == wanted; }),
                              matching(models, [&](const RepoModel& m) { return bears_tag(m.path, wanted); })}) {
      if (found.size() == 1) return *found.front();
      if (found.size() > 1) break;
    }
    return fail_f(ErrorCode::kInvalidArgument, "'{}' names no single file of hf:{}; it has:{}", wanted, repo,
                  list_models(models, repo));
  }
  if (models.size() == 1) return models.front();
  for (const std::string_view tag : preferred_tags()) {
    const auto found = matching(models, [&](const RepoModel& m) { return bears_tag(m.path, tag); });
    if (found.size() == 1) return *found.front();
    if (found.size() > 1) break;  // several models in one repository: no guess
  }
  return fail_f(ErrorCode::kInvalidArgument, "hf:{} has several models; name one:{}", repo, list_models(models, repo));
}

}  // namespace quern::hub
