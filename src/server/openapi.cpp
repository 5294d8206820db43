// OpenAPI 3.1 from the table of routes. Source: spec.openapis.org/oas/v3.1.0.
#include <algorithm>

#include "server/route.h"

namespace quern::server {

namespace {

Json content(std::string_view type, Json schema) {
  return {{std::string(type), {{"schema", std::move(schema)}}}};
}

Json error_schema(ApiStyle style) {
  if (style == ApiStyle::kOllama) {
    // An object where a request was refused before its path was known.
    return {{"type", "object"}, {"properties", {{"error", {{"type", {"string", "object"}}}}}}, {"required", {"error"}}};
  }
  const Json text = {{"type", {"string", "null"}}};
  return {{"type", "object"},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"properties", {{"message", {{"type", "string"}}}, {"type", text}, {"param", text}, {"code", text}}},
              {"required", {"message"}}}}}},
          {"required", {"error"}}};
}

Json answers(const Route& route) {
  Json all;
  const Json error = content("application/json", error_schema(route.style));
  all["200"] = {{"description", "The answer"},
                {"content", content(route.produces, route.response != nullptr ? route.response() : Json::object())}};
  if (!route.streams.empty()) {
    all["200"]["content"][std::string(route.streams)] = {{"schema", Json::object()}};
  }
  const auto refuse = [&](const char* code, std::string_view why) {
    all[code] = {{"description", why}, {"content", error}};
  };
  if (route.body != nullptr || route.path.find('{') != std::string_view::npos) {
    refuse("400", "The request is wrong; the message says where");
  }
  if (route.body != nullptr) {
    refuse("413", "The body is too large");
  }
  if (!route.open) {
    refuse("401", "The API key is missing or wrong");
    refuse("429", "Too many requests; Retry-After says when to come back");
  }
  if (!route.quick) {
    refuse("500", "An error of the server");
    refuse("503", "The server is full, starting or stopping");
  }
  for (const auto& [code, why] : route.answers) refuse(fmt::format("{}", code).c_str(), why);
  if (route.style == ApiStyle::kOllama && route.path.find('{') != std::string_view::npos) {
    // A path that is malformed is refused before anyone knows whose it is.
    const Json either = {{"anyOf", {error_schema(ApiStyle::kOllama), error_schema(ApiStyle::kOpenAi)}}};
    all["400"] = {{"description", "The path is wrong, or the request"},
                  {"content", content("application/json", either)}};
  }
  return all;
}

// "/v1/models/{model*}" is "/v1/models/{model}" there, with a parameter of that name.
std::string plain_path(std::string_view pattern, Json& parameters) {
  std::string path;
  std::string name;
  bool inside = false;
  for (const char c : pattern) {
    if (c == '{') name.clear();
    if (c == '}') {
      parameters.push_back({{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
    }
    inside = c == '{' || (inside && c != '}');
    if (c == '*') continue;
    if (inside && c != '{') name += c;
    path += c;
  }
  return path;
}

}  // namespace

Json openapi_document() {
  Json paths = Json::object();
  for (const Route& route : routes()) {
    Json parameters = Json::array();
    const std::string path = plain_path(route.path, parameters);
    Json operation = {{"summary", route.summary}, {"responses", answers(route)}};
    if (!parameters.empty()) operation["parameters"] = parameters;
    if (route.body != nullptr) {
      operation["requestBody"] = {{"required", true}, {"content", content("application/json", route.body())}};
    }
    if (!route.open) operation["security"] = {{{"key", Json::array()}}, Json::object()};
    std::string method(route.method);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    paths[path][method] = std::move(operation);
  }
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "quern"}, {"version", QUERN_VERSION}}},
          {"paths", std::move(paths)},
          {"components", {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace quern::server
