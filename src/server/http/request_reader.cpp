#include "server/http/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

#include "server/http/target.h"

namespace quern::http {
namespace {

namespace beast = boost::beast;
using BeastError = beast::error_code;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

class RequestReader::Parser final : public beast::http::basic_parser<true> {
 public:
  explicit Parser(const ReaderLimits& limits) : limits_(limits) {
    eager(false);  // put() returns after the header, so that the body can be refused unread
    header_limit(static_cast<std::uint32_t>(std::min<size_t>(limits.header_bytes, UINT32_MAX)));
    body_limit(limits.body_bytes);
  }

  Step feed(std::string_view bytes);

  Request request;
  Failure failure;
  bool http11 = false;

 private:
  Event refuse(int status, std::string code, std::string message);
  Event refuse(const BeastError& error);
  Event finish_head();
  bool over_limit(size_t unconsumed) const;

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                       BeastError& error) override {
    if (target.size() > kMaxTargetBytes) error = beast::http::error::bad_target;
    request.method = view(method);
    request.target = view(target);
    http11 = version == 11;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     BeastError& error) override {
    if (head_done_) return;  // a trailer
    if (request.headers.size() == kMaxFields) {
      error = beast::http::error::header_limit;
      return;
    }
    request.headers.emplace_back(lower_case(view(name)), view(value));
  }
  void on_header_impl(BeastError&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, BeastError&) override {}
  std::size_t on_body_impl(beast::string_view bytes, BeastError&) override {
    request.body.append(bytes.data(), bytes.size());  // grows with what came, not with what was announced
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, BeastError&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, BeastError& error) override {
    return on_body_impl(bytes, error);
  }
  void on_finish_impl(BeastError&) override {}
  // Not used by requests.
  void on_response_impl(int, beast::string_view, int, BeastError&) override {}

  const ReaderLimits limits_;
  size_t header_bytes_ = 0;
  bool head_done_ = false;
};

// Beast holds each piece of a header to its limit, but not their sum, and the extensions and trailers of chunks to
// none.
bool RequestReader::Parser::over_limit(size_t unconsumed) const {
  return (head_done_ ? 0 : header_bytes_) + unconsumed > limits_.header_bytes;
}

RequestReader::Step RequestReader::Parser::feed(std::string_view bytes) {
  size_t consumed = 0;
  while (true) {
    if (head_done_ && is_done()) return {Event::kComplete, consumed};
    if (bytes.empty()) return {Event::kNeedMore, consumed};
    BeastError error;
    const size_t n = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
    bytes.remove_prefix(n);
    consumed += n;
    if (!head_done_) header_bytes_ += n;
    const bool wants_more = error == beast::http::error::need_more;
    if ((!head_done_ || wants_more) && over_limit(wants_more ? bytes.size() : 0)) {
      return {refuse(BeastError(beast::http::error::header_limit)), consumed};
    }
    if (wants_more) return {Event::kNeedMore, consumed};
    if (error) return {refuse(error), consumed};
    if (!head_done_ && is_header_done()) {
      head_done_ = true;
      return {finish_head(), consumed};
    }
  }
}

RequestReader::Event RequestReader::Parser::finish_head() {
  const auto count = [&](std::string_view wanted) {
    return std::count_if(request.headers.begin(), request.headers.end(),
                         [&](const auto& field) { return field.first == wanted; });
  };
  const auto hosts = count("host");
  if (hosts > 1 || (http11 && hosts == 0)) {
    return refuse(400, "bad_request", "the request must have one Host header");
  }
  if (const auto codings = count("transfer-encoding"); codings > 0) {
    if (codings > 1 || !equal_ignoring_case(request.header("transfer-encoding"), "chunked")) {
      return refuse(501, "not_implemented", "the only transfer coding that is understood is chunked");
    }
  }
  auto target = split_target(request.target);
  if (!target) return refuse(400, "bad_request", "the request's target is malformed");
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  return Event::kHead;
}

RequestReader::Event RequestReader::Parser::refuse(int status, std::string code, std::string message) {
  failure = {status, std::move(code), std::move(message)};
  return Event::kBad;
}

RequestReader::Event RequestReader::Parser::refuse(const BeastError& error) {
  using E = beast::http::error;
  if (error == E::body_limit) {
    return refuse(413, "body_too_large", fmt::format("the body is larger than {} bytes", limits_.body_bytes));
  }
  if (error == E::header_limit) {
    return refuse(431, "header_too_large",
                  fmt::format("the header has more than {} bytes or {} fields", limits_.header_bytes, kMaxFields));
  }
  if (error == E::bad_version) return refuse(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are understood");
  if (request.target.size() > kMaxTargetBytes) {
    return refuse(414, "target_too_long", fmt::format("the request's target is longer than {} bytes", kMaxTargetBytes));
  }
  return refuse(400, "bad_request", "malformed HTTP request: " + error.message());
}

RequestReader::RequestReader(const ReaderLimits& limits) : parser_(std::make_unique<Parser>(limits)) {}
RequestReader::~RequestReader() = default;

RequestReader::Step RequestReader::feed(std::string_view bytes) {
  return parser_->feed(bytes);
}
Request& RequestReader::request() {
  return parser_->request;
}
const RequestReader::Failure& RequestReader::error() const {
  return parser_->failure;
}
bool RequestReader::http11() const {
  return parser_->http11;
}
bool RequestReader::keep_alive() const {
  return parser_->keep_alive();
}
bool RequestReader::has_body() const {
  return !parser_->is_done();
}

}  // namespace quern::http
