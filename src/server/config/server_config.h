// ServerConfig: every option of `quern serve`, with its default. Each is declared once, as a row of server_fields() or
// model_fields(): the keys of quern.yaml, the flags, docs/server-options.md, deploy/quern.yaml and the tests of the
// bounds follow from these tables.
//
// Plain values; no sharing. A config that came from load_config() is within all bounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/config/values.h"

namespace quern::server {

enum class LoadPolicy : uint8_t { kEager, kOnDemand };
enum class PromptPolicy : uint8_t { kError, kTruncateMiddle, kTruncateHead };
enum class AllowPull : uint8_t { kCatalogue, kHub, kAny };
enum class LogFormat : uint8_t { kJson, kText, kNone };

// What each model may have of its own.
struct ModelSettings {
  uint32_t n_ctx = 0;
  uint32_t n_batch = 512;
  uint32_t n_threads = 0;
  uint32_t n_threads_batch = 0;
  uint32_t n_parallel = 64;
  uint32_t max_waiting = 256;
  double max_itl_ms = 0;
  Duration ageing{10};
  ByteLimit kv_memory{ByteLimit::Kind::kAuto, 0};
  ByteLimit prefix_cache{ByteLimit::Kind::kAuto, 0};
  LoadPolicy load = LoadPolicy::kEager;
  Duration keep_alive{300};
  PromptPolicy prompt_policy = PromptPolicy::kError;
  uint32_t max_tokens = 0;
};

struct ModelConfig {
  std::string model;  // a GGUF file, or a name from `quern list`
  std::string name;   // what clients call it; empty: as `model`
  ModelSettings settings;
};

struct ServerConfig {
  std::vector<ModelConfig> models;  // the first also answers to the name "default"
  ModelSettings defaults;           // for models that are not in the list

  std::string host = "127.0.0.1";
  uint32_t port = 8080;
  std::string tls_certificate, tls_key;
  uint32_t max_connections = 8192;
  uint32_t max_body_mb = 32;
  uint32_t max_header_kb = 32;
  Duration header_timeout{10};
  Duration body_timeout{60};
  Duration idle_timeout{75};
  Duration write_timeout{30};
  Duration drain_timeout{30};

  std::string api_keys;
  std::vector<std::string> cors_origins;
  AllowPull allow_pull = AllowPull::kHub;
  uint32_t requests_per_minute = 0;
  uint32_t tokens_per_minute = 0;

  ByteLimit memory_limit{ByteLimit::Kind::kAuto, 0};
  std::string kv_dir;
  ByteLimit kv_dir_limit{ByteLimit::Kind::kBytes, uint64_t{8} << 30};

  bool openai_api = true;
  bool ollama_api = true;
  uint32_t max_n = 16;
  uint32_t max_logprobs = 20;
  Duration max_deadline{0};
  double embed_max_wait_ms = 5;
  Duration session_ttl{600};
  uint32_t replay_window = 4096;
  uint32_t max_sessions = 1024;
  uint32_t max_sessions_per_key = 64;
  ByteLimit session_memory{ByteLimit::Kind::kBytes, uint64_t{256} << 20};

  LogFormat log = LogFormat::kJson;
  bool log_prompts = false;
  bool metrics = true;
  bool metrics_key = false;
};

// Under `serve:` and as flags: those of the server, then model_fields(config.defaults).
std::vector<ConfigField> server_fields(ServerConfig& config);
// Under `serve:` for all models, and in an entry of `models:` for one.
std::vector<ConfigField> model_fields(ModelSettings& settings);

}  // namespace quern::server
