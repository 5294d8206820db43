// Call: one request on its way through the server: who asks, what for, and the ways to answer.
//
// Handlers hold it by shared_ptr; it lives until the answer is complete. The ways to answer may be used from any
// thread, one at a time. When it is destroyed, its line goes to the request log and its figures to the metrics; a call
// that nobody answered answers 500.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "server/auth/api_keys.h"
#include "server/body.h"
#include "server/http/http.h"
#include "server/log/request_log.h"
#include "server/route.h"

namespace quern::server {

class App;

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(App& app, const Route& route, std::shared_ptr<http::Exchange> exchange,
       std::shared_ptr<const Principal> principal);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  App& app;
  const Route& route;
  const std::shared_ptr<http::Exchange> exchange;
  const std::shared_ptr<const Principal> principal;
  const std::string id;                                   // in the header x-request-id and in the log
  std::vector<std::pair<std::string, std::string>> path;  // parameters
  Json body;                                              // parsed, null where the route takes none
  RequestRecord record;                                   // handlers fill in what they know
  http::Headers headers;                                  // of the answer, added to by handlers before it begins

  [[nodiscard]] std::string_view path_value(std::string_view name) const;

  // Reads the body; false when it was wrong and has been answered. Members that were ignored are told in the header
  // x-quern-ignored.
  template <class Body>
  bool read(Body& to, Unknown unknown) {
    std::vector<std::string> ignored;
    const auto problem = read_body(body, to, unknown, ignored);
    tell_ignored(ignored);
    if (problem) refuse(*problem);
    return !problem;
  }

  // Adds to the header x-quern-ignored.
  void tell_ignored(const std::vector<std::string>& ignored);

  void respond(const Json& value, int status = 200);
  void respond(http::Response response);

  // Errors in the shape of the route's API. Inside a stream the error becomes its last event.
  void fail(const Error& error);
  void fail(int status, std::string_view type, std::string_view message, std::string_view param = {},
            std::string_view code = {});
  void refuse(const BodyError& problem);

  // Streams: "data: ...\n\n" or a line each. end() completes either.
  void begin_events();
  void event(std::string_view data);
  void event(std::string_view name, std::string_view data);
  void begin_lines();
  void line(std::string_view json);
  void end();

  [[nodiscard]] bool streaming() const { return streaming_; }

 private:
  http::Headers take_headers();

  double start_;  // monotonic seconds
  bool answered_ = false, streaming_ = false, lines_ = false;
  int status_ = 500;
};

// An error's place in HTTP.
struct HttpError {
  int status;
  std::string_view type;  // as OpenAI's APIs name it
  std::string_view code;
};
HttpError http_error(ErrorCode code);

// {"error": {...}} or {"error": "..."}.
Json error_body(ApiStyle style, std::string_view type, std::string_view message, std::string_view param,
                std::string_view code);

// JSON text; bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& value);

}  // namespace quern::server
