// What the options mean together; see load.h.
#include <algorithm>
#include <filesystem>

#include "config/text_file.h"
#include "server/auth/api_keys.h"
#include "server/config/load.h"

namespace quern::server {

namespace {

constexpr size_t kMaxPemBytes = size_t{1} << 20;

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

bool is_origin(std::string_view text) {
  if (text == "*") return true;
  const size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  const std::string_view host = text.substr(scheme + 3);
  return !host.empty() && host.find_first_of("/ *,?#\t") == std::string_view::npos;
}

class Checker {
 public:
  explicit Checker(const ServerConfig& config) : config_(config) {}

  std::vector<ConfigProblem> run() {
    check_tls();
    check_access();
    check_disk_and_memory();
    if (!config_.openai_api && !config_.ollama_api)
      warn("openai_api and ollama_api are both off: little is left to serve");
    if (config_.log_prompts && config_.log == LogFormat::kNone) warn("log_prompts has no effect while log is none");
    return std::move(problems_);
  }

 private:
  void error(std::string message) { problems_.push_back({false, std::move(message)}); }
  void warn(std::string message) { problems_.push_back({true, std::move(message)}); }

  void check_tls() {
    const auto& [certificate, key] = std::tie(config_.tls_certificate, config_.tls_key);
    if (certificate.empty() != key.empty()) {
      error(fmt::format("{} is given without {}: TLS needs both", certificate.empty() ? "tls_key" : "tls_certificate",
                        certificate.empty() ? "tls_certificate" : "tls_key"));
    }
    for (const auto& [name, path] : {std::pair("tls_certificate", &certificate), std::pair("tls_key", &key)}) {
      if (path->empty()) continue;
      const auto text = read_text_file(*path, kMaxPemBytes);
      if (!text) {
        error(fmt::format("{}: {}", name, text.error().message));
      } else if (text->find("-----BEGIN ") == std::string::npos) {
        error(fmt::format("{}: {} is not a PEM file", name, *path));
      }
    }
  }

  void check_access() {
    const bool open = config_.api_keys.empty();
    if (!open) {
      const auto keys = ApiKeys::load(config_.api_keys);
      if (!keys) {
        error(fmt::format("api_keys: {}", keys.error().message));
      } else {
        for (const std::string& text : (*keys)->warnings()) warn(fmt::format("api_keys: {}", text));
      }
    }
    if (!is_loopback(config_.host)) {
      if (open)
        warn(fmt::format("{} can be reached from other machines and there are no api_keys: anyone may ask",
                         config_.host));
      if (!open && config_.tls_certificate.empty()) {
        warn(fmt::format("{} can be reached from other machines without TLS: keys and prompts can be read on the way",
                         config_.host));
      }
    }
    if (open && config_.metrics_key) error("metrics_key wants api_keys: no key would open /metrics");
    for (const std::string& origin : config_.cors_origins) {
      if (!is_origin(origin))
        error(fmt::format("cors_origins: '{}' is no origin like https://example.org, nor *", origin));
    }
    const auto& origins = config_.cors_origins;
    if (origins.size() > 1 && std::find(origins.begin(), origins.end(), "*") != origins.end()) {
      warn("cors_origins: beside \"*\" the others have no effect");
    }
  }

  void check_disk_and_memory() {
    std::error_code code;
    if (!config_.kv_dir.empty()) {
      const auto status = std::filesystem::status(config_.kv_dir, code);
      if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
        error(fmt::format("kv_dir: {} is not a folder", config_.kv_dir));
      }
    } else if (config_.kv_dir_limit != ServerConfig().kv_dir_limit) {
      warn("kv_dir_limit has no effect without kv_dir");
    }
    check_model("serve", config_.defaults);
    for (size_t i = 0; i < config_.models.size(); ++i) {
      check_model(fmt::format("models[{}]", i), config_.models[i].settings);
    }
  }

  void check_model(const std::string& where, const ModelSettings& model) {
    const auto bytes = [](const ByteLimit& limit) { return limit.kind == ByteLimit::Kind::kBytes ? limit.bytes : 0; };
    if (config_.memory_limit.kind == ByteLimit::Kind::kBytes && bytes(model.kv_memory) > config_.memory_limit.bytes) {
      error(fmt::format("{}: kv_memory {} is more than memory_limit {}", where, bytes_text(model.kv_memory.bytes),
                        bytes_text(config_.memory_limit.bytes)));
    }
    if (bytes(model.kv_memory) > 0 && bytes(model.prefix_cache) > bytes(model.kv_memory)) {
      error(fmt::format("{}: prefix_cache {} is more than kv_memory {}, of which it is a part", where,
                        bytes_text(model.prefix_cache.bytes), bytes_text(model.kv_memory.bytes)));
    }
    if (model.n_ctx != 0 && model.max_tokens >= model.n_ctx) {
      error(fmt::format("{}: max_tokens {} leaves no place for a prompt in n_ctx {}", where, model.max_tokens,
                        model.n_ctx));
    }
  }

  const ServerConfig& config_;
  std::vector<ConfigProblem> problems_;
};

}  // namespace

std::vector<ConfigProblem> check_config(const ServerConfig& config) {
  return Checker(config).run();
}

}  // namespace quern::server
