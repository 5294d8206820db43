#include "hub/http_call.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "base/clock.h"

namespace quern::hub {

namespace {

constexpr int kMaxRedirects = 5;
constexpr long kConnectTimeoutS = 20;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

std::string part(const Url& url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string result = text;
  curl_free(text);
  return result;
}

// Scheme, host and port: what decides whether two addresses are the same server's. Empty for what is no address.
struct Origin {
  std::string scheme, host, port;
  bool operator==(const Origin&) const = default;
};
Origin origin_of(const std::string& address) {
  const Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, address.c_str(), 0) != CURLUE_OK) return {};
  return {part(url, CURLUPART_SCHEME), part(url, CURLUPART_HOST), part(url, CURLUPART_PORT)};
}

struct Transfer {
  const HttpCall& call;
  HttpReply reply;
  bool cancelled = false;
};

size_t on_data(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  std::string& body = transfer.reply.body;
  const size_t room = transfer.call.limit - body.size();
  body.append(data, std::min(bytes, room));
  if (bytes <= room) return bytes;
  transfer.reply.cut = true;
  return 0;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.cancelled = transfer.call.cancelled && transfer.call.cancelled();
  return transfer.cancelled ? 1 : 0;
}

struct HeaderList {
  std::unique_ptr<curl_slist, FreeList> list;
  void add(const std::string& line) {
    if (curl_slist* longer = curl_slist_append(list.get(), line.c_str())) {
      (void)list.release();
      list.reset(longer);
    }
  }
};

void configure(CURL* easy, const HttpCall& call, const std::string& url, double seconds, Transfer& transfer) {
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  if (call.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!call.body.empty() || call.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(seconds * 1e3)));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "quern");
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
}

struct Step {
  HttpReply reply;
  std::string next;  // where a redirect leads
};

// One request and its answer. `own_headers`: the server is the one that they are meant for.
Result<Step> ask(const HttpCall& call, const std::string& url, bool own_headers, double seconds) {
  const std::unique_ptr<CURL, FreeEasy> easy(curl_easy_init());
  if (!easy) return fail(ErrorCode::kResource, "no memory for a connection");
  Transfer transfer{.call = call, .reply = {}};
  char error_text[CURL_ERROR_SIZE] = "";
  HeaderList headers;
  headers.add("Expect:");  // no round trip before the body
  if (own_headers) {
    for (const auto& [name, value] : call.headers) headers.add(name + ": " + value);
  }
  configure(easy.get(), call, url, seconds, transfer);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.list.get());
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, error_text);

  const CURLcode code = curl_easy_perform(easy.get());
  if (transfer.cancelled) return fail(ErrorCode::kCancelled, "stopped on request");
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return fail_f(ErrorCode::kTimeout, "{} was not done after {:g} s", call.url, call.timeout_s);
  }
  if (code != CURLE_OK && !transfer.reply.cut) {
    const bool address = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT;
    return fail_f(address ? ErrorCode::kUnsupported : ErrorCode::kIo, "{}: {}", url,
                  error_text[0] != 0 ? error_text : curl_easy_strerror(code));
  }
  long status = 0;
  const char* type = nullptr;
  const char* next = nullptr;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_TYPE, &type);
  curl_easy_getinfo(easy.get(), CURLINFO_REDIRECT_URL, &next);
  transfer.reply.status = static_cast<int>(status);
  if (type != nullptr) transfer.reply.content_type = type;
  return Step{std::move(transfer.reply), next != nullptr ? next : ""};
}

}  // namespace

Result<HttpReply> http_call(const HttpCall& call) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const bool follows = call.method == "GET" || call.method == "HEAD";
  const double deadline = now_s() + call.timeout_s;
  const Origin first = origin_of(call.url);
  std::string url = call.url;
  for (int redirects = 0;; ++redirects) {
    const Origin here = origin_of(url);
    if (here.scheme != "http" && here.scheme != "https") {
      return fail_f(ErrorCode::kUnsupported, "{}: not an http or https address", url);
    }
    if (first.scheme == "https" && here.scheme != "https") {
      return fail_f(ErrorCode::kIo, "{}: redirected from https to {}", call.url, url);
    }
    QUERN_TRY(Step step, ask(call, url, here == first, deadline - now_s()));
    if (step.next.empty() || !follows) return std::move(step.reply);
    if (redirects == kMaxRedirects) {
      return fail_f(ErrorCode::kIo, "{}: more than {} redirects", call.url, kMaxRedirects);
    }
    url = step.next;
  }
}

}  // namespace quern::hub
