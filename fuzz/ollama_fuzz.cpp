// What Ollama's clients write as texts: durations and names; and their options as JSON.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/ollama/options.h"
#include "server/ollama/values.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quern::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto seconds = ollama::parse_go_duration(text)) {
    if (std::isnan(*seconds) || ollama::rfc3339(std::fabs(*seconds)).size() != 30) std::abort();
  }
  if (ollama::hub_name(text).size() > text.size()) std::abort();
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return 0;
  if (const auto keep = ollama::read_keep_alive(value); keep && *keep && !(**keep >= 0)) std::abort();
  ollama::Options options;
  std::vector<std::string> ignored;
  if (ollama::read_options(value, options, ignored)) return 0;
  if (const auto o = options.for_engine(4096, 0); o && (o->max_tokens > 4096 || o->n_ctx > 4096)) std::abort();
  return 0;
}
