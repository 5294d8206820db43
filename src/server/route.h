// Route: one endpoint: what it is called by, what it takes and gives, and what handles it. routes.cpp has the table;
// dispatch, OpenAPI and docs go over it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/body.h"

namespace quern::server {

class Call;

enum class ApiStyle : uint8_t { kOpenAi, kOllama };  // of its error bodies

struct Route {
  std::string_view method;
  std::string_view path;  // "/v1/models/{model}": a part in braces takes one segment, {model*} the rest
  std::string_view summary;
  // On a worker thread, or on the I/O thread where `quick`. Must answer through the call, now or later.
  void (*handle)(const std::shared_ptr<Call>& call);
  ApiStyle style = ApiStyle::kOpenAi;
  Json (*body)() = nullptr;      // JSON schema of the request's body; none: no body is taken
  Json (*response)() = nullptr;  // of the answer's; none: any JSON
  bool open = false;             // needs no API key
  bool quick = false;
  std::string_view produces = "application/json";
  std::string_view streams = {};  // what it produces instead where the body asks for a stream
  // Further answers by status code, for OpenAPI; 400, 401, 429 and 500 are told for all.
  std::vector<std::pair<int, std::string_view>> answers = {};
};

std::span<const Route> routes();

// The parameters of a path that fits the pattern; false when it does not.
bool match_path(std::string_view pattern, std::string_view path,
                std::vector<std::pair<std::string, std::string>>& parameters);

// The OpenAPI 3.1 document of the table.
Json openapi_document();

}  // namespace quern::server
