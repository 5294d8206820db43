// Requests' targets and lists in headers: the text of HTTP that is parsed here and not by Beast. Values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quern::http {

struct Target {
  std::string path;   // decoded
  std::string query;  // as sent
};

// "/path?query", "http://host/path?query" or "*". nullopt: a '%' without two digits or a control character in the path,
// or another form.
std::optional<Target> split_target(std::string_view target);

// %XX become bytes; nullopt where a '%' has no two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);

// The first value of that name in "a=b&c=d", decoded as forms are; what cannot be decoded stands for itself.
std::optional<std::string> find_query_value(std::string_view query, std::string_view name);

// The next element of a comma-separated list, without the white space around it; removes it. Empty elements are passed
// over; nullopt at the end.
std::optional<std::string_view> next_element(std::string_view& list);

bool equal_ignoring_case(std::string_view a, std::string_view b);
bool list_has(std::string_view list, std::string_view element);  // without regard to case
bool is_token(std::string_view text);                            // RFC 9110, 5.6.2
std::string lower_case(std::string_view text);                   // ASCII

}  // namespace quern::http
