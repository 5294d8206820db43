#include "server/openai/prompts.h"

#include <fmt/format.h>

#include <algorithm>

namespace quern::server {

namespace {

bool all_numbers(const Json& value) {
  return std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_number(); });
}

std::optional<BodyError> read_ids(const Json& value, const std::string& where, size_t n_vocab,
                                  std::vector<int32_t>& to) {
  if (value.empty()) return BodyError{where, fmt::format("'{}' is empty", where)};
  to.reserve(value.size());
  for (const Json& id : value) {
    const bool fits =
        id.is_number_integer() && id.get<double>() >= 0 && id.get<double>() < static_cast<double>(n_vocab);
    if (!fits) {
      return BodyError{where, fmt::format("'{}' must hold token ids from 0 to {}", where, n_vocab - 1)};
    }
    to.push_back(id.get<int32_t>());
  }
  return std::nullopt;
}

std::optional<BodyError> read_one(const Json& value, const std::string& where, size_t n_vocab,
                                  std::vector<TextOrIds>& to) {
  TextOrIds one;
  if (value.is_string()) {
    one.text = value.get<std::string>();
  } else if (value.is_array() && all_numbers(value)) {
    if (auto problem = read_ids(value, where, n_vocab, one.ids)) return problem;
  } else {
    return BodyError{where, fmt::format("'{}' must be a string or an array of token ids", where)};
  }
  to.push_back(std::move(one));
  return std::nullopt;
}

}  // namespace

std::optional<BodyError> read_texts(const Json& value, const std::string& name, size_t most, size_t n_vocab,
                                    std::vector<TextOrIds>& to) {
  if (!value.is_array() || (!value.empty() && all_numbers(value))) return read_one(value, name, n_vocab, to);
  if (value.empty()) return BodyError{name, fmt::format("'{}' is empty", name)};
  if (value.size() > most) {
    return BodyError{name, fmt::format("'{}' has {} texts, at most {} are taken at once", name, value.size(), most)};
  }
  for (size_t i = 0; i < value.size(); ++i) {
    if (auto problem = read_one(value[i], fmt::format("{}[{}]", name, i), n_vocab, to)) return problem;
  }
  return std::nullopt;
}

}  // namespace quern::server
