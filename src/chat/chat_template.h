// ChatTemplate: a model's chat template, parsed once, rendered for every request.
//
// The language is Jinja2's as the templates on model hubs use it: ImmutableSandboxedEnvironment with trim_blocks,
// lstrip_blocks, loop controls and the `generation` tag (docs/templates.md says what is supported). Source: Jinja2 3.1
// and Python's semantics of the values.
//
// parse() refuses a template that Jinja2 would not compile; render() fails where Jinja2 would raise, where a limit is
// used up (kResource), and where the template itself calls raise_exception (kInvalidArgument). Messages name the line.
// A template is immutable: any number of threads may render it at once.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/limits.h"

namespace quern {

namespace jinja {
struct Tree;
}

struct RenderOptions {
  std::optional<std::tm> now;  // what strftime_now() tells; the local time when not set
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> parse(std::string_view source, const TemplateLimits& limits = {});

  // The context is an object: the template's variables.
  Result<std::string> render(const nlohmann::ordered_json& context, const RenderOptions& options = {}) const;

 private:
  ChatTemplate(std::shared_ptr<const jinja::Tree> tree, const TemplateLimits& limits)
      : tree_(std::move(tree)), limits_(limits) {}

  std::shared_ptr<const jinja::Tree> tree_;
  TemplateLimits limits_;
};

}  // namespace quern
