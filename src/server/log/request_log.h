// RequestLog: one line for each request, when it has ended, as a JSON object or as text. What came from a client cannot
// begin a line or hide in one: control characters are escaped. Keys are never logged, prompts only where asked for.
//
// write() may be called from any thread; lines do not mix. It takes as long as its writer does.
#pragma once

#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "server/config/server_config.h"

namespace quern::server {

// Empty texts and figures that are not known are left out of the line.
struct RequestRecord {
  double time_s = 0;  // of arrival, Unix time
  std::string id;
  std::string method, route;  // the path that was asked for
  int status = 0;
  std::string key_name;  // of the principal
  std::string client;    // its address
  std::string model;
  std::optional<size_t> prompt_tokens, cached_tokens, generated_tokens;
  std::optional<double> queue_s, first_token_s;
  double duration_s = 0;
  std::string finish_reason;
  std::string truncation;      // "truncate-middle: 512 tokens"
  std::string error;           // as the client was told
  std::string prompt, answer;  // only logged with log_prompts
};

// The line without its end.
std::string json_line(const RequestRecord& record, bool with_prompts);
std::string text_line(const RequestRecord& record, bool with_prompts);

class RequestLog {
 public:
  // Gets a whole line with its end.
  using Writer = std::function<void(std::string_view line)>;
  RequestLog(LogFormat format, bool log_prompts, Writer writer);

  void write(const RequestRecord& record);

 private:
  const LogFormat format_;
  const bool log_prompts_;
  std::mutex mutex_;
  const Writer writer_;
};

// Writes to `file`, which must outlive it, and flushes each line.
RequestLog::Writer file_writer(std::FILE* file);

}  // namespace quern::server
