#include "server/openai/generation_members.h"

#include <fmt/format.h>

namespace quern::server {

namespace {

constexpr double kMostSamples = 128;
constexpr size_t kMostStops = 64, kLongestStop = 4096;  // as the engine has them

constexpr const char* kStreamOptionsSchema = R"({"type": ["object", "null"], "properties": {
  "include_usage": {"type": "boolean"}, "include_obfuscation": {"type": "boolean"}}, "additionalProperties": false})";

}  // namespace

void GenerationMembers::fields(FieldVisitor& v) {
  v.member({"model", "Name of the model, or \"default\""}, model);
  v.member({"n", "How many answers to each prompt", {.min = 1, .max = kMostSamples}}, n);
  v.member({"stream", "Answer by server-sent events, as the text comes"}, stream);
  v.member({"stream_options", "include_usage: a last event with the usage; include_obfuscation: none is needed"},
           stream_options, kStreamOptionsSchema);
  v.member({"stop", "Up to 64 texts that end an answer and are no part of it"}, stop);
  v.member({"response_format", "What an answer must look like: text, json_object, json_schema, regex or gbnf"},
           response_format, kResponseFormatSchema);
  sampling.fields(v);
  v.ignore("user", "keys tell users apart");
}

std::optional<BodyError> GenerationMembers::check() const {
  if (!stream_options.is_null() && !stream) {
    return BodyError{"stream_options", "'stream_options' is only allowed with 'stream'"};
  }
  for (const auto& [name, value] : stream_options.items()) {
    const std::string place = "stream_options." + name;
    if (name != "include_usage" && name != "include_obfuscation") {
      return BodyError{place, fmt::format("'{}' is not a known parameter", place)};
    }
    if (!value.is_boolean() && !value.is_null()) {
      return BodyError{place, fmt::format("'{}' must be true or false", place)};
    }
  }
  if (stop.size() > kMostStops) {
    return BodyError{"stop", fmt::format("'stop' has {} texts, at most {} are allowed", stop.size(), kMostStops)};
  }
  for (const std::string& text : stop) {
    if (text.empty() || text.size() > kLongestStop) {
      return BodyError{"stop",
                       fmt::format("a text in 'stop' has {} bytes, expected 1 to {}", text.size(), kLongestStop)};
    }
  }
  return std::nullopt;
}

std::optional<BodyError> GenerationMembers::check_samples(size_t samples, size_t slots) const {
  if (samples <= slots) return std::nullopt;
  const char* name = samples == static_cast<size_t>(n) ? "n" : "best_of";
  return BodyError{name,
                   fmt::format("'{}' is {}, this server computes {} at a time (n_parallel)", name, samples, slots)};
}

bool GenerationMembers::wants_format() const {
  const auto type = response_format.find("type");
  return response_format.is_object() && type != response_format.end() && *type != "text";
}

std::optional<BodyError> GenerationMembers::take_grammar(Grammars& grammars, Grammar& to) const {
  return read_response_format(response_format, "response_format", grammars, to);
}

bool GenerationMembers::include_usage() const {
  const auto at = stream_options.find("include_usage");
  return stream_options.is_object() && at != stream_options.end() && at->is_boolean() && at->get<bool>();
}

}  // namespace quern::server
