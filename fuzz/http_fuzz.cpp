// What a client sends first: the request, whole and in pieces, its target, its query and its lists. Answers' heads must
// stay whole whatever they carry.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/http/message.h"
#include "server/http/request_reader.h"
#include "server/http/target.h"

namespace {

using namespace quern::http;

constexpr ReaderLimits kLimits{.header_bytes = 2048, .body_bytes = 1024};

void require(bool condition) {
  if (!condition) std::abort();
}

struct Read {
  RequestReader::Event event = RequestReader::Event::kNeedMore;
  size_t consumed = 0;
  Request request;
};

// As a connection feeds it, `step` bytes at a time.
Read read(std::string_view bytes, size_t step) {
  RequestReader reader(kLimits);
  Read out;
  std::string in;
  for (size_t at = 0; at < bytes.size(); at += step) {
    in += bytes.substr(at, step);
    while (true) {
      const auto fed = reader.feed(in);
      require(fed.consumed <= in.size());
      in.erase(0, fed.consumed);
      out.consumed += fed.consumed;
      out.event = fed.event;
      require(reader.request().headers.size() <= kMaxFields && reader.request().body.size() <= kLimits.body_bytes);
      if (fed.event == RequestReader::Event::kBad) {
        require(reader.error().status >= 400 && !reader.error().message.empty());
        return out;
      }
      if (fed.event == RequestReader::Event::kComplete) {
        out.request = reader.request();
        return out;
      }
      if (fed.event == RequestReader::Event::kNeedMore) break;
    }
    require(in.size() <= kLimits.header_bytes);  // what waits for more is bounded
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Read whole = read(text, std::max<size_t>(size, 1)), pieces = read(text, 1);
  const auto complete = RequestReader::Event::kComplete;
  if (whole.event == complete) {
    require(pieces.event == complete && whole.consumed == pieces.consumed);
    require(whole.request.method == pieces.request.method && whole.request.path == pieces.request.path &&
            whole.request.headers == pieces.request.headers && whole.request.body == pieces.request.body);
  }
  if (const auto target = split_target(text)) {
    require(target->path == "*" || target->path.empty() || target->path.find('\0') == std::string::npos);
    (void)find_query_value(target->query, target->path);
  }
  (void)find_query_value(text, text.substr(0, 4));
  for (std::string_view list = text; const auto element = next_element(list);) require(!element->empty());
  const Headers headers = {{std::string(text.substr(0, size / 2)), std::string(text.substr(size / 2))}};
  const std::string head = format_head({.headers = &headers});
  require(head.find("\r\n\r\n") == head.size() - 4 && head.find('\0') == std::string::npos);
  return 0;
}
