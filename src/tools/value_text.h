// A value of JSON as one text: of a command line, an address, a program's input. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace quern::toolbox {

// Texts as they are, everything else as JSON writes it; a whole number never with a fraction or an exponent.
inline std::string value_text(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) {
    const double d = value.get<double>();
    if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == static_cast<double>(static_cast<int64_t>(d))) {
      return std::to_string(static_cast<int64_t>(d));
    }
  }
  return value.dump();
}

}  // namespace quern::toolbox
