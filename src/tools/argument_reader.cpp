#include "tools/argument_reader.h"

#include <charconv>

#include "grammar/regex.h"

namespace quern::toolbox {

namespace {

using Kind = YamlNode::Kind;

constexpr std::string_view kTypes[] = {"string", "integer", "number", "boolean", "array", "object"};
constexpr std::string_view kKeys[] = {"type",       "description", "optional", "enum",      "items",
                                      "properties", "minimum",     "maximum",  "minLength", "maxLength",
                                      "minItems",   "maxItems",    "pattern"};

// Which types a key goes with; empty: any.
bool goes_with(std::string_view key, std::string_view type) {
  if (key == "items" || key == "minItems" || key == "maxItems") return type == "array";
  if (key == "properties") return type == "object";
  if (key == "minimum" || key == "maximum") return type == "integer" || type == "number";
  if (key == "minLength" || key == "maxLength" || key == "pattern") return type == "string";
  if (key == "enum") return type == "string" || type == "integer" || type == "number";
  return true;
}

// A value of an enumeration, read by the argument's type: `no` and `1` are texts where texts are wanted.
bool enum_value(const YamlNode& item, std::string_view type, Json& to) {
  if (item.kind != Kind::kScalar) return false;
  if (type == "string") {
    to = item.text;
    return true;
  }
  const char* end = item.text.data() + item.text.size();
  int64_t whole = 0;
  if (const auto r = std::from_chars(item.text.data(), end, whole); r.ec == std::errc{} && r.ptr == end) {
    to = whole;
    return true;
  }
  double number = 0;
  const auto r = std::from_chars(item.text.data(), end, number);
  if (type != "number" || r.ec != std::errc{} || r.ptr != end || !(number - number == 0)) return false;
  to = number;
  return true;
}

class ArgumentReader {
 public:
  explicit ArgumentReader(FileReader& reader) : reader_(reader) {}

  Json object(const YamlNode& map, std::string_view what) {
    Json properties = Json::object(), required = Json::array();
    if (map.kind != Kind::kNull && reader_.is_map(map, what)) {
      if (map.entries.size() > kMaxArguments) {
        reader_.problem(map, fmt::format("more than {} arguments", kMaxArguments));
      }
      for (const YamlEntry& entry : map.entries) {
        if (!is_argument_name(entry.key.text)) {
          reader_.problem(entry.key, "the name of an argument has letters, digits and _, at most 64");
          continue;
        }
        bool optional = false;
        properties[entry.key.text] = value(entry.value, entry.key.text, &optional);
        if (!optional) required.push_back(entry.key.text);
      }
    }
    return {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}};
  }

 private:
  // `optional`: where that is told, null where it has no meaning.
  Json value(const YamlNode& node, const std::string& name, bool* optional) {
    Json schema = Json::object();
    if (!reader_.check_map(node, name, kKeys)) return schema;
    const YamlNode* type_node = find_entry(node, "type");
    if (type_node == nullptr) {
      reader_.problem(node, fmt::format("{} has no type", name));
      return schema;
    }
    const size_t index = reader_.read_word(*type_node, "type", kTypes);
    if (index == std::size(kTypes)) return schema;
    const std::string_view type = kTypes[index];
    schema["type"] = type;
    for (const YamlEntry& entry : node.entries) {
      const std::string& key = entry.key.text;
      if (!goes_with(key, type)) {
        reader_.problem(entry.key, fmt::format("{} has no meaning for the type {}", key, type));
      } else if (key == "optional" && optional == nullptr) {
        reader_.problem(entry.key, "optional has no meaning for the items of a list");
      } else if (key == "optional") {
        reader_.read_flag(entry.value, key, *optional);
      } else {
        keyword(entry, name, type, schema);
      }
    }
    return schema;
  }

  void keyword(const YamlEntry& entry, const std::string& name, std::string_view type, Json& schema) {
    const std::string& key = entry.key.text;
    if (key == "description") {
      std::string text;
      reader_.read_text(entry.value, key, text);
      schema[key] = text;
    } else if (key == "pattern") {
      std::string text;
      reader_.read_text(entry.value, key, text);
      const auto dfa = grammar::regex_dfa(text);
      if (!dfa) reader_.problem(entry.value, dfa.error().message);
      schema[key] = text;
    } else if (key == "enum") {
      schema[key] = enumeration(entry.value, type);
    } else if (key == "items") {
      schema[key] = value(entry.value, name + "[]", nullptr);
    } else if (key == "properties") {
      const Json made = object(entry.value, name);
      for (const char* part : {"properties", "required", "additionalProperties"}) schema[part] = made[part];
    } else if (key.starts_with("min") || key.starts_with("max")) {
      bound(entry, schema);
    }
  }

  Json enumeration(const YamlNode& node, std::string_view type) {
    Json values = Json::array();
    if (node.kind != Kind::kList || node.items.empty()) {
      reader_.problem(node, "enum wants a list of values");
      return values;
    }
    for (const YamlNode& item : node.items) {
      Json made;
      if (!enum_value(item, type, made)) {
        reader_.problem(item, fmt::format("this is not of the type {}", type));
      } else {
        values.push_back(std::move(made));
      }
    }
    return values;
  }

  void bound(const YamlEntry& entry, Json& schema) {
    const std::string& key = entry.key.text;
    const bool of_value = key == "minimum" || key == "maximum";
    double number = 0;
    reader_.read_number(entry.value, key, number);
    if (!of_value && !(number >= 0 && number <= 1e6 && number == static_cast<double>(static_cast<int64_t>(number)))) {
      reader_.problem(entry.value, fmt::format("{} wants a whole number from 0 to 1000000", key));
      return;
    }
    constexpr double kAllWhole = 9007199254740992;
    const bool whole =
        number >= -kAllWhole && number <= kAllWhole && number == static_cast<double>(static_cast<int64_t>(number));
    schema[key] = whole ? Json(static_cast<int64_t>(number)) : Json(number);
  }

  FileReader& reader_;
};

}  // namespace

Json read_argument_map(FileReader& reader, const YamlNode& map, std::string_view what) {
  return ArgumentReader(reader).object(map, what);
}

}  // namespace quern::toolbox
