#include "server/http/target.h"

#include <gtest/gtest.h>

#include "server/http/http.h"
#include "server/http/message.h"

namespace quern::http {
namespace {

TEST(Target, IsSplitAndDecoded) {
  const auto target = split_target("/v1/a%20b%2Fc?x=1&y=%41+b");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/v1/a b/c");
  EXPECT_EQ(target->query, "x=1&y=%41+b");
  EXPECT_EQ(split_target("http://host:80/p?q")->path, "/p");
  EXPECT_EQ(split_target("http://host:80/p?q")->query, "q");
  EXPECT_EQ(split_target("HTTP://host")->path, "/");
  EXPECT_EQ(split_target("http://host?q")->query, "q");
  EXPECT_EQ(split_target("*")->path, "*");
  EXPECT_EQ(split_target("/a+b")->path, "/a+b");
}

TEST(Target, RefusesWhatIsMalformed) {
  for (const char* target : {"", "host:80", "/%", "/%4", "/%zz", "/%00", "/a%0db", "/%7f", "ftp://host/x", "p"}) {
    EXPECT_FALSE(split_target(target)) << target;
  }
}

TEST(Query, FindsTheFirstValue) {
  EXPECT_EQ(find_query_value("a=1&b=2&a=3", "a"), "1");
  EXPECT_EQ(find_query_value("a&b=2", "a"), "");
  EXPECT_EQ(find_query_value("a%3d=1%262+3", "a="), "1&2 3");
  EXPECT_EQ(find_query_value("a=%zz", "a"), "%zz");
  EXPECT_EQ(find_query_value("&&=&b", ""), "");
  EXPECT_EQ(find_query_value("ab=1", "a"), std::nullopt);
  EXPECT_EQ(find_query_value("", "a"), std::nullopt);
}

TEST(List, PassesOverEmptyElementsAndCase) {
  EXPECT_TRUE(list_has(" , keep-alive ,\tUpgrade", "upgrade"));
  EXPECT_FALSE(list_has("upgraded", "upgrade"));
  EXPECT_FALSE(list_has("", "upgrade"));
  std::string_view list = "a, b c ,,";
  EXPECT_EQ(next_element(list), "a");
  EXPECT_EQ(next_element(list), "b c");
  EXPECT_EQ(next_element(list), std::nullopt);
}

TEST(Head, CannotBeSplitByWhatItCarries) {
  const Headers headers = {{"x-id", "a\r\nset-cookie: b"}, {"bad name", "x"}, {"", "x"}, {"Content-Length", "5"}};
  const std::string head = format_head({.status = 200, .content_type = "text/plain", .headers = &headers, .length = 3});
  EXPECT_NE(head.find("\r\nx-id: a  set-cookie: b\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("bad name"), std::string::npos);
  EXPECT_NE(head.find("\r\ncontent-length: 3\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
  EXPECT_TRUE(format_head({.status = 42}).starts_with("HTTP/1.1 500 "));
}

TEST(Head, DatesAreThoseOfTheStandard) {
  EXPECT_EQ(format_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Chunk, OfNoBytesIsNothing) {
  std::string out;
  append_chunk(out, "");
  EXPECT_EQ(out, "");
  append_chunk(out, std::string(26, 'x'));
  EXPECT_EQ(out, "1a\r\n" + std::string(26, 'x') + "\r\n");
}

TEST(ErrorResponse, EscapesItsMessage) {
  EXPECT_EQ(error_response(404, "not_found", "no \"x\"\n\\").body,
            R"({"error":{"message":"no \"x\"\u000a\\","type":"invalid_request_error","code":"not_found"}})");
  EXPECT_NE(error_response(503, "c", "m").body.find("server_error"), std::string::npos);
}

}  // namespace
}  // namespace quern::http
