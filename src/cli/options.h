// A command's options, declared once as a table of fields: parsing, --help, `--help --json` (from which the docs are
// written) and the test of the bounds all read that table.
//
//   struct ListOptions {
//     bool json = false;
//     std::vector<Field> fields() { return {{"--json", &json, "Print one JSON object"}}; }
//   };
//
// A Field points into the options struct, which must outlive it; the value there at declaration is the default. Only
// options.cpp knows the command-line library. One thread.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quern::cli {

// Where a value goes. Vectors of numbers are given as 1,2,3; a vector of strings by repeating the option; an optional
// tells "not given" from any value.
using FieldRef = std::variant<bool*, int*, uint32_t*, int64_t*, uint64_t*, float*, double*, std::string*,
                              std::optional<std::string>*, std::optional<uint64_t>*, std::vector<int>*,
                              std::vector<uint32_t>*, std::vector<uint64_t>*, std::vector<std::string>*>;

struct Limits {
  double min = -std::numeric_limits<double>::infinity();  // inclusive, for numbers and each number of a list
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string_view> choices = {};  // for strings: the only values allowed; empty allows all
  bool required = false;
  std::string_view implied = {};  // what a string is given as without a value; one then takes the form --name=VALUE
};

struct Field {
  std::string_view flag;  // "--json", "-n,--tokens"; without a dash an argument told by its place: "MODEL"
  FieldRef to;
  std::string_view help;
  Limits limits = {};
};

// Fills the fields from the arguments. kInvalidArgument names the option and what it wants; fields may then be partly
// filled.
Status parse_fields(std::span<const Field> fields, std::span<const std::string> args);

// The option and argument sections of --help, and the same as JSON.
std::string describe_fields(std::span<const Field> fields);
nlohmann::json fields_to_json(std::span<const Field> fields);

// "MODEL [TEXT]": the arguments told by their place, as a usage line shows them.
std::string positional_usage(std::span<const Field> fields);

}  // namespace quern::cli
