#include "server/openai/logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "server/openai/json_text.h"
#include "text/utf8.h"

namespace quern::server {

namespace {

bool is_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = utf8_decode(bytes, at);
    if (!c.valid) return false;
    at += c.len;
  }
  return true;
}

void append_token(std::string& to, std::string_view bytes, double logprob) {
  to += "{\"token\":";
  append_json_string(to, shown_token(bytes));
  to += ",\"logprob\":";
  append_log_prob(to, logprob);
  to += ",\"bytes\":[";
  for (size_t i = 0; i < bytes.size(); ++i) {
    fmt::format_to(std::back_inserter(to), "{}{}", i == 0 ? "" : ",", static_cast<unsigned char>(bytes[i]));
  }
  to += ']';
}

void comma(std::string& list) {
  if (!list.empty()) list += ',';
}

}  // namespace

std::string shown_token(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string shown = "bytes:";
  for (const char c : bytes) fmt::format_to(std::back_inserter(shown), "\\x{:02x}", static_cast<unsigned char>(c));
  return shown;
}

void append_chat_logprob(std::string& to, const Engine& engine, int32_t id, double logprob,
                         std::span<const TokenLogProb> top, size_t n_top) {
  append_token(to, engine.piece(id), logprob);
  to += ",\"top_logprobs\":[";
  for (size_t i = 0; i < std::min(top.size(), n_top); ++i) {
    if (i > 0) to += ',';
    append_token(to, engine.piece(top[i].id), top[i].logprob);
    to += '}';
  }
  to += "]}";
}

void LogprobLists::add(const Engine& engine, std::string_view bytes, std::optional<double> logprob,
                       std::span<const TokenLogProb> top, size_t n_top) {
  for (std::string* list : {&tokens_, &values_, &tops_, &offsets_}) comma(*list);
  const std::string token = shown_token(bytes);
  append_json_string(tokens_, token);
  fmt::format_to(std::back_inserter(offsets_), "{}", offset_);
  offset_ += static_cast<size_t>(
      std::count_if(bytes.begin(), bytes.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  if (!logprob) {
    values_ += "null";
    tops_ += "null";
    return;
  }
  append_log_prob(values_, *logprob);
  // Two tokens may have the same text, the names of an object are distinct: the likelier one stays.
  std::vector<std::string> names;
  tops_ += '{';
  const auto name = [&](std::string text, double value) {
    if (std::find(names.begin(), names.end(), text) != names.end()) return;
    if (!names.empty()) tops_ += ',';
    append_json_string(tops_, text);
    tops_ += ':';
    append_log_prob(tops_, value);
    names.push_back(std::move(text));
  };
  for (size_t i = 0; i < std::min(top.size(), n_top); ++i) name(shown_token(engine.piece(top[i].id)), top[i].logprob);
  name(token, *logprob);
  tops_ += '}';
}

std::string LogprobLists::take() {
  if (tokens_.empty()) return "null";
  std::string text = fmt::format(R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})",
                                 tokens_, values_, tops_, offsets_);
  for (std::string* list : {&tokens_, &values_, &tops_, &offsets_}) list->clear();
  return text;
}

}  // namespace quern::server
