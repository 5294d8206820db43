#include "server/tools/offered_tools.h"

#include <fmt/format.h>

#include <algorithm>

namespace quern::server {

Result<tools::ToolGrammar> OfferedTools::grammar(const tools::ToolFormat& format, const tools::ToolChoice& choice) {
  const std::string key = fmt::format("{} {} {} {} {} {}", format.name(), format.reasoning().close, choice.required,
                                      choice.parallel, choice.reasoning_open, choice.name);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = grammars_.find(key); known != grammars_.end()) return known->second;
  }
  QUERN_TRY(tools::ToolGrammar made, tools::tool_grammar(format, *set_, choice));
  const std::lock_guard lock(mutex_);
  if (grammars_.size() >= kMostGrammars) grammars_.clear();
  // What another thread has made in the meantime stays: the engine knows it already.
  return grammars_.emplace(key, std::move(made)).first->second;
}

Result<std::shared_ptr<OfferedTools>> ToolStore::get(const Json& definitions) {
  std::string text = tools::json_text(definitions);
  if (text.size() > kLimit) {
    return fail_f(ErrorCode::kTooLong, "the tools have {} bytes, at most {} are taken", text.size(), kLimit);
  }
  {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find_if(kept_, [&](const Kept& k) { return k.text == text; });
    if (known != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, known);
      return known->tools;
    }
  }
  QUERN_TRY(tools::ToolSet set, tools::ToolSet::read(definitions));
  auto made = std::make_shared<OfferedTools>(std::move(set));
  if (text.size() > kMostText) return made;
  const std::lock_guard lock(mutex_);
  kept_.push_front({std::move(text), made});
  if (kept_.size() > kMost) kept_.pop_back();
  return made;
}

}  // namespace quern::server
