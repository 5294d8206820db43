// Messages of the streaming protocol: any bytes are refused in words, or are a message within the table's bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sample/options.h"
#include "server/session/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quern::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ClientMessage message;
  if (const auto error = read_message(text, message)) {
    if (error->code.empty() || error->message.empty()) std::abort();
    return 0;
  }
  if (message.type != MessageType::kStart && message.type != MessageType::kAppend) return 0;
  const auto start = read_start(message, {});
  if (!start) {
    if (start.error().code.empty() || start.error().message.empty()) std::abort();
    return 0;
  }
  if (start->messages.is_null() != start->prompt.has_value()) std::abort();
  quern::SamplingOptions sampling;
  if (!start->options.sampling.take(32000, sampling) && !quern::validate(sampling)) std::abort();
  return 0;
}
