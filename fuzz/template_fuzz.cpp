// Chat templates: any source, with a fixed rich context; or, behind a first line of JSON, with that context.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "chat/chat_template.h"

namespace {

const nlohmann::ordered_json& fixed_context() {
  static const auto* context = new nlohmann::ordered_json(nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "H\u00e9llo <b>w\u6211rld</b> 1,2"},
                 {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"x": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "number"}}}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "s": "a b-c\n  d", "n": 7, "f": 2.5, "neg": -3,
    "l": [3, 1, 2, "x", null, [1, 2]], "d": {"b": 1, "a": {"c": [1, 2, 3]}, "k": "v"}, "none": null, "words": ["Abc", "abd", "B"]
  })"));
  return *context;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  quern::TemplateLimits limits;
  limits.max_steps = 100'000;
  limits.max_output_bytes = 1 << 18;
  limits.max_memory_bytes = 16 << 20;
  quern::RenderOptions options;
  options.now = std::tm{};

  std::string_view source = input;
  nlohmann::ordered_json own;
  const size_t line = input.find('\n');
  if (input.starts_with('{') && line != std::string_view::npos && size < 4096) {
    own = nlohmann::ordered_json::parse(input.substr(0, line), nullptr, false);
    if (own.is_object()) source = input.substr(line + 1);
  }
  const auto parsed = quern::ChatTemplate::parse(source, limits);
  if (!parsed) return 0;
  const auto text = parsed->render(own.is_object() ? own : fixed_context(), options);
  if (text && text->size() > limits.max_output_bytes) __builtin_trap();
  return 0;
}
