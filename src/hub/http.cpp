#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <mutex>

#include "hub/sha256.h"

namespace quern::hub {

namespace {

constexpr long kMaxRedirects = 10;
constexpr long kConnectTimeoutS = 20;
constexpr long kStallTimeoutS = 30;  // no byte for so long: the connection is dead

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 100-199/200"
void read_content_range(std::string_view value, HttpResponse& response) {
  if (!lower(value).starts_with("bytes ")) return;
  value.remove_prefix(6);
  const size_t dash = value.find('-'), slash = value.find('/');
  if (slash == std::string_view::npos) return;
  if (dash < slash) response.range_begin = number(value.substr(0, dash));
  response.range_total = number(value.substr(slash + 1));
}

// Link: <https://...>; rel="next"
std::string next_link(std::string_view value) {
  const size_t open = value.find('<'), close = value.find('>');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  if (value.find("rel=\"next\"", close) == std::string_view::npos) return {};
  return std::string(value.substr(open + 1, close - open - 1));
}

struct Transfer {
  const HttpRequest& request;
  HttpResponse response;
  CURL* easy = nullptr;
  bool head_given = false;
  Status failure;

  bool stop(Status status) {
    failure = std::move(status);
    return false;
  }

  // The head counts when the body begins or the transfer ends: by then redirects are behind us.
  bool give_head() {
    if (head_given) return true;
    head_given = true;
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    response.status = static_cast<int>(code);
    if (request.on_head) {
      if (auto status = request.on_head(response); !status) return stop(std::move(status));
    }
    return true;
  }
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  read_header_line({data, size * count}, transfer.response);
  return size * count;
}

size_t on_data(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  if (!transfer.give_head()) return 0;
  if (transfer.response.status >= 300 || !transfer.request.on_body) return bytes;
  auto status = transfer.request.on_body(std::as_bytes(std::span(data, bytes)));
  if (!status) {
    transfer.stop(std::move(status));
    return 0;
  }
  return bytes;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (!transfer.request.cancelled || !transfer.request.cancelled()) return 0;
  transfer.stop(fail(ErrorCode::kCancelled, "stopped on request"));
  return 1;
}

// A fault that another attempt will meet again.
bool is_permanent(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return true;
    default:
      return false;
  }
}

std::unique_ptr<curl_slist, FreeList> request_headers(const HttpRequest& request) {
  curl_slist* list = nullptr;
  // libcurl drops a custom Authorization header when a redirect leaves the host.
  if (!request.token.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + request.token).c_str());
  if (request.range_begin > 0 && !request.if_range.empty()) {
    list = curl_slist_append(list, ("If-Range: " + request.if_range).c_str());
  }
  return std::unique_ptr<curl_slist, FreeList>(list);
}

void configure(CURL* easy, const HttpRequest& request, Transfer& transfer, char* error_text) {
  const bool secure = lower(request.url.substr(0, 6)) == "https:";
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, kStallTimeoutS);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "quern");
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
  if (request.range_begin > 0) {
    curl_easy_setopt(easy, CURLOPT_RANGE, fmt::format("{}-", request.range_begin).c_str());
  }
}

}  // namespace

void read_header_line(std::string_view line, HttpResponse& response) {
  if (line.starts_with("HTTP/")) {  // a new response: keep only what earlier ones said about the linked file
    HttpResponse fresh;
    fresh.linked_sha256 = std::move(response.linked_sha256);
    fresh.redirected = response.redirected;
    response = std::move(fresh);
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = lower(trimmed(line.substr(0, colon)));
  const std::string_view value = trimmed(line.substr(colon + 1));
  std::string_view tag = value;
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') tag = tag.substr(1, tag.size() - 2);
  if (name == "etag") {
    response.etag = value;
  } else if (name == "x-linked-etag") {
    if (is_sha256(tag)) response.linked_sha256 = lower(tag);
  } else if (name == "content-length") {
    response.content_length = number(value);
  } else if (name == "content-range") {
    read_content_range(value, response);
  } else if (name == "link") {
    response.next_page = next_link(value);
  } else if (name == "retry-after") {
    response.retry_after_s = number(value);
  } else if (name == "location") {
    response.redirected = true;
  } else if (name == "x-error-message") {
    response.error_message = value;
  }
}

Result<HttpResponse> http_get(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  std::unique_ptr<CURL, FreeEasy> easy(curl_easy_init());
  if (!easy) return fail(ErrorCode::kResource, "no memory for a connection");
  char error_text[CURL_ERROR_SIZE] = "";
  Transfer transfer{.request = request, .response = {}, .easy = easy.get(), .failure = {}};
  const auto headers = request_headers(request);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  configure(easy.get(), request, transfer, error_text);

  const CURLcode code = curl_easy_perform(easy.get());
  if (!transfer.failure) return tl::unexpected<Error>(std::move(transfer.failure).error());
  if (code != CURLE_OK) {
    return fail_f(is_permanent(code) ? ErrorCode::kUnsupported : ErrorCode::kIo, "{}: {}", request.url,
                  error_text[0] != 0 ? error_text : curl_easy_strerror(code));
  }
  if (!transfer.give_head()) return tl::unexpected<Error>(std::move(transfer.failure).error());
  return std::move(transfer.response);
}

Result<HttpText> http_get_text(HttpRequest request, size_t limit) {
  HttpText text;
  request.on_body = [&](std::span<const std::byte> bytes) -> Status {
    if (bytes.size() > limit - text.body.size()) {
      return fail_f(ErrorCode::kCorrupt, "{}: the answer is longer than {} bytes", request.url, limit);
    }
    text.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
  QUERN_TRY(text.head, http_get(request));
  return text;
}

std::string url_escape_path(std::string_view path) {
  std::string result;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", byte);
    }
  }
  return result;
}

std::string url_unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && text.size() - i > 2 && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      result += static_cast<char>(byte);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace quern::hub
