// One request out of the bytes of a connection: Beast's parser, with the rules that it leaves to its user. A reader
// reads one request. One thread at a time.
//
// Refused here, beside what Beast finds malformed: HTTP/1.1 without exactly one Host, a transfer coding other than
// chunked, a header over its limit in bytes or kMaxFields fields, a target over kMaxTargetBytes. Trailers are dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/http.h"

namespace quern::http {

inline constexpr size_t kMaxTargetBytes = size_t{8} << 10;
inline constexpr size_t kMaxFields = 200;

struct ReaderLimits {
  size_t header_bytes = 0;
  uint64_t body_bytes = 0;
};

class RequestReader {
 public:
  enum class Event : uint8_t {
    kNeedMore,
    kHead,      // once, when the header is complete: request() has all but the body
    kComplete,  // the last; request() may be moved from
    kBad,       // error() says how; nothing more can be read from the connection
  };
  struct Step {
    Event event = Event::kNeedMore;
    size_t consumed = 0;  // bytes at the start of `bytes`; the rest must come again, with what follows it
  };
  struct Failure {
    int status = 400;
    std::string code, message;
  };

  explicit RequestReader(const ReaderLimits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  Step feed(std::string_view bytes);

  Request& request();
  [[nodiscard]] const Failure& error() const;
  [[nodiscard]] bool http11() const;
  [[nodiscard]] bool keep_alive() const;
  // After kHead: a body follows.
  [[nodiscard]] bool has_body() const;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace quern::http
