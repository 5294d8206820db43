#include "server/auth/api_keys.h"

#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <set>
#include <span>

#include "base/nearest.h"
#include "config/text_file.h"
#include "os/small_file.h"

namespace quern::server {

namespace {

using Digest = std::array<unsigned char, 32>;

constexpr std::string_view kHashPrefix = "sha256:";
constexpr size_t kShortestKey = 16, kLongestKey = 1024, kLongestName = 64;
constexpr uint32_t kMostPerMinute = 1'000'000'000;

struct Entry {
  Digest digest{};
  std::shared_ptr<const Principal> principal;
};

bool is_name(std::string_view text) {
  const auto good = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= kLongestName && std::all_of(text.begin(), text.end(), good);
}

std::optional<Digest> hash(std::string_view key) {
  Digest digest;
  unsigned size = 0;
  if (EVP_Digest(key.data(), key.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return std::nullopt;
  return digest;
}

std::optional<Digest> parse_digest(std::string_view text) {
  Digest digest;
  if (!text.starts_with(kHashPrefix)) return std::nullopt;
  text.remove_prefix(kHashPrefix.size());
  if (text.size() != 2 * digest.size()) return std::nullopt;
  for (size_t i = 0; i < digest.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    const auto [stop, error] = std::from_chars(begin, begin + 2, digest[i], 16);
    if (error != std::errc{} || stop != begin + 2) return std::nullopt;
  }
  return digest;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!(line = trim(line)).empty()) {
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

std::optional<uint32_t> parse_count(std::string_view text, uint32_t most) {
  uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || stop != text.end() || text.empty() || value > most) return std::nullopt;
  return value;
}

// "priority=7" and the like; the text of what is wrong, or nothing.
std::string read_property(std::string_view word, Principal& to) {
  std::string_view value = word;
  const std::string_view key = take_until(value, '=');
  if (key == "priority") {
    const auto count = parse_count(value, kHighestPriority);
    if (!count) return fmt::format("priority wants a whole number from 0 to {}", kHighestPriority);
    to.priority = static_cast<int>(*count);
  } else if (key == "requests_per_minute" || key == "tokens_per_minute") {
    const auto count = parse_count(value, kMostPerMinute);
    if (!count) return fmt::format("{} wants a whole number from 0 to {}", key, kMostPerMinute);
    (key == "requests_per_minute" ? to.requests_per_minute : to.tokens_per_minute) = *count;
  } else if (key == "models") {
    while (!value.empty()) {
      const std::string_view model = take_until(value, ',');
      if (!model.empty()) to.models.emplace_back(model);
    }
    if (to.models.empty()) return "models wants names, separated by commas";
  } else {
    constexpr std::string_view kKnown[] = {"priority", "requests_per_minute", "tokens_per_minute", "models"};
    const auto nearest = nearest_name(key, kKnown);
    return fmt::format(
        "'{}' is not a property of a key{}", key,
        nearest ? fmt::format(": did you mean {}?", *nearest) : fmt::format(" ({})", fmt::join(kKnown, ", ")));
  }
  return {};
}

class KeyText {
 public:
  void read(std::string_view text) {
    for (size_t line = 1; !text.empty(); ++line) {
      const std::string_view content = trim(take_until(text, '\n'));
      if (content.empty() || content.starts_with('#')) continue;
      if (std::string what = read_line(content); !what.empty()) problems.push_back(fmt::format("{}: {}", line, what));
    }
  }

  std::vector<Entry> entries;
  std::vector<std::string> problems;

 private:
  std::string read_line(std::string_view line) {
    if (entries.size() == kMaxKeys) return fmt::format("more than {} keys", kMaxKeys);
    const auto words = words_of(line);
    if (!is_name(words[0])) return "a name has at most 64 letters, digits and . _ -";
    const auto digest = words.size() > 1 ? parse_digest(words[1]) : std::nullopt;
    // What stands there instead may be a key in the clear: not repeated in any message.
    if (!digest) return "after the name comes sha256: and 64 hexadecimal digits (quern serve --hash-key writes them)";
    auto principal = std::make_shared<Principal>();
    principal->name = principal->tenant = std::string(words[0]);
    std::set<std::string_view> given;
    for (const std::string_view word : std::span(words).subspan(2)) {
      std::string_view rest = word;
      const std::string_view key = take_until(rest, '=');
      if (!given.insert(key).second) return fmt::format("{} is given twice", key);
      if (std::string what = read_property(word, *principal); !what.empty()) return what;
    }
    if (!names_.insert(principal->name).second) return fmt::format("there is another key called {}", principal->name);
    if (!digests_.insert(*digest).second) return fmt::format("{} has the same key as another line", principal->name);
    entries.push_back({*digest, std::move(principal)});
    return {};
  }

  std::set<std::string> names_;
  std::set<Digest> digests_;
};

std::string_view presented_key(std::string_view authorization, std::string_view api_key) {
  constexpr std::string_view kScheme = "bearer ";
  const bool bearer = authorization.size() > kScheme.size() &&
                      std::equal(kScheme.begin(), kScheme.end(), authorization.begin(), [](char scheme, char c) {
                        return scheme == (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
                      });
  return trim(bearer ? authorization.substr(kScheme.size()) : api_key);
}

}  // namespace

struct ApiKeys::Table {
  std::vector<Entry> entries;
  std::vector<std::string> warnings;
};

bool Principal::may_use(std::string_view model) const {
  return models.empty() || std::find(models.begin(), models.end(), model) != models.end();
}

ApiKeys::ApiKeys() {
  auto anonymous = std::make_shared<Principal>();
  anonymous->name = "anonymous";
  auto table = std::make_shared<Table>();
  table->entries.push_back({{}, std::move(anonymous)});
  table_ = std::move(table);
}

Result<std::shared_ptr<const ApiKeys::Table>> ApiKeys::read(const std::string& path) {
  QUERN_TRY(const std::string text, read_text_file(path, kMaxKeyFileBytes));
  KeyText keys;
  keys.read(text);
  if (!keys.problems.empty()) {
    std::string message;
    for (const std::string& problem : keys.problems) {
      message += fmt::format("{}{}:{}", message.empty() ? "" : "\n", path, problem);
    }
    return fail(ErrorCode::kInvalidArgument, std::move(message));
  }
  auto table = std::make_shared<Table>();
  table->entries = std::move(keys.entries);
  if (table->entries.empty()) table->warnings.push_back(fmt::format("{}: no keys: nobody may ask", path));
  std::error_code code;
  const auto mode = std::filesystem::status(path, code).permissions();
  if (!code && (mode & std::filesystem::perms::others_read) != std::filesystem::perms::none) {
    table->warnings.push_back(fmt::format("{}: every user of this machine may read it: chmod o-r {}", path, path));
  }
  return std::shared_ptr<const Table>(std::move(table));
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::load(const std::string& path) {
  QUERN_TRY(auto table, read(path));
  auto keys = std::make_unique<ApiKeys>();
  keys->path_ = path;
  keys->table_ = std::move(table);
  return keys;
}

Status ApiKeys::reload() {
  if (path_.empty()) return {};
  QUERN_TRY(auto table, read(path_));
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
  return {};
}

std::vector<std::string> ApiKeys::warnings() const {
  const std::lock_guard lock(mutex_);
  return table_->warnings;
}

Result<std::shared_ptr<const Principal>> ApiKeys::authenticate(std::string_view authorization,
                                                               std::string_view api_key) const {
  std::shared_ptr<const Table> table;
  {
    const std::lock_guard lock(mutex_);
    table = table_;
  }
  if (open()) return table->entries.front().principal;
  const std::string_view key = presented_key(authorization, api_key);
  if (key.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "this server needs an API key: Authorization: Bearer KEY, or x-api-key: KEY");
  }
  const auto digest = hash(key);
  if (!digest) return fail(ErrorCode::kResource, "the key could not be hashed");
  // No early end: the time says nothing about which entry matched, or how much of one.
  const Entry* found = nullptr;
  for (const Entry& entry : table->entries) {
    if (CRYPTO_memcmp(entry.digest.data(), digest->data(), digest->size()) == 0) found = &entry;
  }
  if (found == nullptr) return fail(ErrorCode::kInvalidArgument, "this API key is not known here");
  return found->principal;
}

Result<std::string> key_file_line(std::string_view name, std::string_view key) {
  key = trim(key);
  if (!is_name(name)) return fail(ErrorCode::kInvalidArgument, "a name has at most 64 letters, digits and . _ -");
  const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (key.size() < kShortestKey || key.size() > kLongestKey || !printable) {
    return fail_f(ErrorCode::kInvalidArgument,
                  "a key has {} to {} visible ASCII characters; openssl rand -hex 32 makes one", kShortestKey,
                  kLongestKey);
  }
  const auto digest = hash(key);
  if (!digest) return fail(ErrorCode::kResource, "the key could not be hashed");
  return fmt::format("{} {}{:02x}", name, kHashPrefix, fmt::join(*digest, ""));
}

std::vector<std::string> check_key_text(std::string_view text) {
  KeyText keys;
  keys.read(text);
  return std::move(keys.problems);
}

}  // namespace quern::server
