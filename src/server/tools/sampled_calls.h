// SampledCalls: replies with tool calls just as they were sampled. A client sends a call back as JSON, and a template
// writes that JSON in a way of its own; rendered as it was sampled, and in the very tokens, the conversation's prefix
// stays cached. Bounded: the oldest replies are forgotten, which costs time and changes no answer. Any thread.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quern/tools.h"

namespace quern::server {

struct SampledReply {
  std::string text;  // with special tokens written out
  std::vector<int32_t> ids;
  std::vector<ToolCall> calls;
  std::string prompt_end = {};  // the last bytes before it
};

// One call of a reply.
struct SampledCall {
  std::shared_ptr<const SampledReply> reply;  // null: not known
  size_t number = 0;
};

class SampledCalls {
 public:
  static constexpr size_t kMostReplies = 4096, kMostBytes = 32 << 20;

  // `tenant`: a tenant finds what is its own.
  void keep(std::string_view tenant, SampledReply reply);
  // By the id; where that is empty or not known, by name and arguments. Found only if both are the call's.
  [[nodiscard]] SampledCall find(std::string_view tenant, const ToolCall& call) const;

  [[nodiscard]] size_t size() const;

 private:
  struct Kept {
    std::shared_ptr<const SampledReply> reply;
    std::vector<std::string> keys;
    size_t bytes = 0;
  };
  void forget_oldest();

  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // the oldest last
  std::unordered_map<std::string, SampledCall> by_key_;
  size_t bytes_ = 0;
};

}  // namespace quern::server
