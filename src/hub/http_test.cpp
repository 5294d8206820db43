#include "hub/http.h"

#include <gtest/gtest.h>

namespace quern::hub {
namespace {

HttpResponse response_of(std::initializer_list<std::string_view> lines) {
  HttpResponse response;
  for (const std::string_view line : lines) read_header_line(line, response);
  return response;
}

TEST(HeaderLine, KeepsWhatTheHubSaidBeforeTheRedirect) {
  const std::string sha(64, 'B');
  const auto response =
      response_of({"HTTP/1.1 302 Found\r\n", "ETag: \"git\"\r\n", "X-Linked-ETag: \"" + sha + "\"\r\n",
                   "Location: http://cdn/\r\n", "Content-Length: 12\r\n", "\r\n", "HTTP/1.1 206 Partial Content\r\n",
                   "etag:  \"cdn\" \r\n", "Content-Range: bytes 100-199/200\r\n"});
  EXPECT_EQ(response.linked_sha256, std::string(64, 'b'));
  EXPECT_TRUE(response.redirected);
  EXPECT_EQ(response.etag, "\"cdn\"");
  EXPECT_EQ(response.content_length, std::nullopt);
  EXPECT_EQ(response.range_begin, 100u);
  EXPECT_EQ(response.range_total, 200u);
}

TEST(HeaderLine, IgnoresWhatItCannotRead) {
  const auto response =
      response_of({"Content-Length: -1", "Content-Range: bytes */x", "Content-Range: bytes 5", "Retry-After: soon",
                   "X-Linked-Etag: \"short\"", "no colon", "", ":", "Link: >< rel=\"next\""});
  EXPECT_EQ(response.content_length, std::nullopt);
  EXPECT_EQ(response.range_begin, std::nullopt);
  EXPECT_EQ(response.range_total, std::nullopt);
  EXPECT_EQ(response.retry_after_s, std::nullopt);
  EXPECT_EQ(response.linked_sha256, "");
  EXPECT_EQ(response.next_page, "");
}

TEST(HeaderLine, FindsTheNextPage) {
  EXPECT_EQ(response_of({"Link: <https://hub/x?page=2>; rel=\"next\""}).next_page, "https://hub/x?page=2");
  EXPECT_EQ(response_of({"Link: <https://hub/x>; rel=\"prev\""}).next_page, "");
}

TEST(UrlEscape, GoesThereAndBack) {
  EXPECT_EQ(url_escape_path("a b/c%?.gguf"), "a%20b/c%25%3F.gguf");
  EXPECT_EQ(url_unescape("a%20b%2fc%"), "a b/c%");
  EXPECT_EQ(url_unescape("%zz%1"), "%zz%1");
}

TEST(HttpGet, RefusesOtherSchemesAndNamesTheAddress) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "", "http://"}) {
    const auto response =
        http_get({.url = url, .token = {}, .if_range = {}, .on_head = {}, .on_body = {}, .cancelled = {}});
    ASSERT_FALSE(response.has_value()) << url;
    EXPECT_EQ(response.error().code, ErrorCode::kUnsupported) << url;
  }
}

}  // namespace
}  // namespace quern::hub
