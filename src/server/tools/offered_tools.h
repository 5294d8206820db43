// OfferedTools: the tools of a request and the grammars of their calls. ToolStore gives the same ones again to requests
// that offer the same tools, so that nothing is compiled anew in a conversation. Any thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "chat/tools/tool_grammar.h"
#include "server/body.h"

namespace quern::server {

class OfferedTools {
 public:
  explicit OfferedTools(tools::ToolSet set) : set_(std::make_shared<const tools::ToolSet>(std::move(set))) {}

  [[nodiscard]] const std::shared_ptr<const tools::ToolSet>& set() const { return set_; }
  // As tools::tool_grammar().
  Result<tools::ToolGrammar> grammar(const tools::ToolFormat& format, const tools::ToolChoice& choice);

 private:
  static constexpr size_t kMostGrammars = 16;

  const std::shared_ptr<const tools::ToolSet> set_;
  std::mutex mutex_;
  std::map<std::string, tools::ToolGrammar> grammars_;
};

class ToolStore {
 public:
  static constexpr size_t kMost = 32;
  static constexpr size_t kMostText = 256 << 10;  // larger sets are read anew each time
  static constexpr size_t kLimit = 2 << 20;       // of the tools' JSON text; beyond it is kTooLong

  // As tools::ToolSet::read().
  Result<std::shared_ptr<OfferedTools>> get(const Json& definitions);

 private:
  struct Kept {
    std::string text;
    std::shared_ptr<OfferedTools> tools;
  };
  std::mutex mutex_;
  std::list<Kept> kept_;  // the one used last comes first
};

}  // namespace quern::server
