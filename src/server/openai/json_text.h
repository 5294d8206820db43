// JSON as text, appended piece by piece: for streams, where a tree for each token would cost more than the token.
// Pure functions; any thread. Source document: RFC 8259.
#pragma once

#include <string>
#include <string_view>

namespace quern::server {

// With its quotes. What is not UTF-8 becomes U+FFFD.
void append_json_string(std::string& to, std::string_view text);

// The shortest text that reads back as the same double. JSON has no infinities: OpenAI's API has -9999 for a token that
// cannot come, and so have we.
void append_log_prob(std::string& to, double value);

}  // namespace quern::server
