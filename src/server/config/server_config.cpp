#include "server/config/server_config.h"

namespace quern::server {

namespace {

constexpr double kWeek = 7 * 86400;
constexpr double kMostContext = 1 << 28, kMostThreads = 1024;

void add_network(ServerConfig& c, std::vector<ConfigField>& to) {
  const std::string_view g = "Network";
  to.insert(
      to.end(),
      {{g, "host", &c.host, "Address to listen on; 0.0.0.0 or :: for every interface"},
       {g, "port", &c.port, "Port; 0: one that is free, printed at start", {.max = 65535}},
       {g, "tls_certificate", &c.tls_certificate, "PEM file of the certificate chain; empty: no TLS"},
       {g, "tls_key", &c.tls_key, "PEM file of the certificate's private key"},
       {g, "max_connections", &c.max_connections, "Most open connections; more wait", {.min = 1, .max = 1 << 20}},
       {g, "max_body_mb", &c.max_body_mb, "Most MB (2^20 bytes) of a request's body", {.min = 1, .max = 1024}},
       {g, "max_header_kb", &c.max_header_kb, "Most KB (2^10 bytes) of a request's header", {.min = 1, .max = 1024}},
       {g, "header_timeout", &c.header_timeout, "Time for a client to send a header", {.min = 0.1, .max = 3600}},
       {g, "body_timeout", &c.body_timeout, "Time for a client to send a body", {.min = 0.1, .max = 3600}},
       {g,
        "idle_timeout",
        &c.idle_timeout,
        "Time that a connection may stay without a request",
        {.min = 1, .max = kWeek}},
       {g, "write_timeout", &c.write_timeout, "Time for a client to take what was sent", {.min = 0.1, .max = 3600}},
       {g, "drain_timeout", &c.drain_timeout, "Time that running requests have to end after SIGTERM", {.max = 86400}}});
}

void add_access(ServerConfig& c, std::vector<ConfigField>& to) {
  const std::string_view g = "Access";
  to.insert(
      to.end(),
      {{g, "api_keys", &c.api_keys, "File of API keys, reloaded on SIGHUP; empty: anyone may ask"},
       {g, "cors_origins", &c.cors_origins, "Origins of web pages that may call, like https://example.org; \"*\": any"},
       {g,
        "allow_pull",
        choice(c.allow_pull),
        "What clients may fetch (/api/pull): names of the catalogue, also hf: repositories, or any address",
        {.words = {"catalogue", "hub", "any"}}},
       {g, "requests_per_minute", &c.requests_per_minute,
        "Most requests a minute of a key that has no limit of its own; 0: any"},
       {g, "tokens_per_minute", &c.tokens_per_minute, "Most tokens a minute, prompt and output, likewise; 0: any"}});
}

void add_memory(ServerConfig& c, std::vector<ConfigField>& to) {
  const std::string_view g = "Memory and disk";
  to.insert(to.end(), {{g,
                        "memory_limit",
                        &c.memory_limit,
                        "Most memory of all loaded models; auto: what the machine has to give",
                        {.min = 1 << 20, .words = {"auto", "none"}}},
                       {g, "kv_dir", &c.kv_dir, "Folder where long prefixes are kept over restarts; empty: nowhere"},
                       {g, "kv_dir_limit", &c.kv_dir_limit, "Most bytes in kv_dir", {.min = 1 << 20}}});
}

void add_requests(ServerConfig& c, std::vector<ConfigField>& to) {
  const std::string_view g = "Requests";
  to.insert(to.end(),
            {{g, "openai_api", &c.openai_api, "Serve the routes of OpenAI's API, /v1/"},
             {g, "ollama_api", &c.ollama_api, "Serve the routes of Ollama's API, /api/"},
             {g, "max_n", &c.max_n, "Most completions of one request (n, best_of)", {.min = 1, .max = 1024}},
             {g, "max_logprobs", &c.max_logprobs, "Most alternatives per token (top_logprobs)", {.max = 1024}},
             {g,
              "max_deadline",
              &c.max_deadline,
              "Most time a request may take, also where it names no deadline; 0: any",
              {.max = kWeek}},
             {g,
              "embed_max_wait_ms",
              &c.embed_max_wait_ms,
              "Most that an embedding waits for others to join its batch",
              {.max = 10000}},
             {g,
              "session_ttl",
              &c.session_ttl,
              "Time that a streaming session without a client is kept",
              {.min = 1, .max = kWeek}},
             {g,
              "replay_window",
              &c.replay_window,
              "Events of a session that a client may still fetch after it broke off",
              {.min = 1, .max = 1 << 20}},
             {g, "max_sessions", &c.max_sessions, "Most streaming sessions", {.min = 1, .max = 1 << 20}},
             {g,
              "max_sessions_per_key",
              &c.max_sessions_per_key,
              "Most of them that one API key may have",
              {.min = 1, .max = 1 << 20}},
             {g,
              "session_memory",
              &c.session_memory,
              "Memory for the events and conversations of all sessions",
              {.min = 1 << 20}}});
}

void add_watching(ServerConfig& c, std::vector<ConfigField>& to) {
  const std::string_view g = "Log and metrics";
  to.insert(to.end(), {{g, "log", choice(c.log), "Form of the line per request", {.words = {"json", "text", "none"}}},
                       {g, "log_prompts", &c.log_prompts, "Also log what was asked and answered"},
                       {g, "metrics", &c.metrics, "Serve /metrics for Prometheus"},
                       {g, "metrics_key", &c.metrics_key, "/metrics needs an API key"}});
}

}  // namespace

std::vector<ConfigField> model_fields(ModelSettings& s) {
  const std::string_view g = "Models";
  return {
      {g,
       "n_ctx",
       &s.n_ctx,
       "Tokens that prompt and output may have together; 0: what the model was made for",
       {.max = kMostContext}},
      {g, "n_batch", &s.n_batch, "Most tokens in one pass over the weights", {.min = 1, .max = 1 << 16}},
      {g,
       "n_threads",
       &s.n_threads,
       "Threads for generating; 0: physical cores within the quota",
       {.max = kMostThreads}},
      {g, "n_threads_batch", &s.n_threads_batch, "Threads for prompts; 0: as n_threads", {.max = kMostThreads}},
      {g, "n_parallel", &s.n_parallel, "Most sequences that are computed at a time", {.min = 1, .max = 4096}},
      {g,
       "max_waiting",
       &s.max_waiting,
       "Most requests that wait for a place; more are answered 429",
       {.max = 1 << 20}},
      {g,
       "max_itl_ms",
       &s.max_itl_ms,
       "Most ms between two tokens of a stream while prompts are read; 0: twice its gap alone, for short prompts 0.1 s",
       {.max = 60000}},
      {g,
       "ageing",
       &s.ageing,
       "A request that waited so long counts as one priority higher",
       {.min = 0.1, .max = 86400}},
      {g,
       "kv_memory",
       &s.kv_memory,
       "Memory for keys and values; auto: what n_parallel sequences need and the machine has",
       {.min = 1 << 20, .words = {"auto"}}},
      {g,
       "prefix_cache",
       &s.prefix_cache,
       "Part of it that keeps the prefixes of ended requests; auto: half, at most 1GiB",
       {.min = 1 << 20, .words = {"auto", "none"}}},
      {g, "load", choice(s.load), "Load at start, or at the first request", {.words = {"eager", "on_demand"}}},
      {g,
       "keep_alive",
       &s.keep_alive,
       "Time after the last request until the model is unloaded",
       {.max = 365 * 86400, .words = {"forever"}}},
      {g,
       "prompt_policy",
       choice(s.prompt_policy),
       "A prompt that does not fit is refused, or loses its middle or its head",
       {.words = {"error", "truncate-middle", "truncate-head"}}},
      {g,
       "max_tokens",
       &s.max_tokens,
       "Output tokens of a request that names no limit; 0: up to the end of the context",
       {.max = kMostContext}},
  };
}

std::vector<ConfigField> server_fields(ServerConfig& config) {
  std::vector<ConfigField> fields;
  add_network(config, fields);
  add_access(config, fields);
  for (ConfigField& field : model_fields(config.defaults)) fields.push_back(std::move(field));
  add_memory(config, fields);
  add_requests(config, fields);
  add_watching(config, fields);
  return fields;
}

}  // namespace quern::server
