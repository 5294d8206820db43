#include "server/tools/sampled_calls.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "chat/tools/json_scanner.h"

namespace quern::server {

namespace {

// JSON with sorted names; nullopt where it is none.
std::optional<std::string> canonical(const std::string& arguments) {
  if (!tools::is_json(arguments)) return std::nullopt;  // bounds the nesting too
  const auto value = nlohmann::json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return std::nullopt;
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string key(std::string_view tenant, char kind, std::string_view what) {
  std::string text(tenant);
  text += '\n';
  text += kind;
  return text.append(what);
}

}  // namespace

void SampledCalls::keep(std::string_view tenant, SampledReply reply) {
  Kept kept;
  std::vector<std::pair<std::string, size_t>> keys;
  for (size_t i = 0; i < reply.calls.size(); ++i) {
    const auto arguments = canonical(reply.calls[i].arguments);
    if (!arguments) continue;
    keys.emplace_back(key(tenant, 'i', reply.calls[i].id), i);
    keys.emplace_back(key(tenant, 'c', reply.calls[i].name + "\n" + *arguments), i);
    kept.bytes += 4 * reply.calls[i].arguments.size();
  }
  kept.bytes += reply.text.size() + reply.ids.size() * sizeof(int32_t);
  if (keys.empty() || kept.bytes > kMostBytes) return;
  kept.reply = std::make_shared<const SampledReply>(std::move(reply));
  const std::lock_guard lock(mutex_);
  for (auto& [name, number] : keys) {
    by_key_[name] = {kept.reply, number};
    kept.keys.push_back(std::move(name));
  }
  bytes_ += kept.bytes;
  kept_.push_front(std::move(kept));
  while (kept_.size() > kMostReplies || bytes_ > kMostBytes) forget_oldest();
}

void SampledCalls::forget_oldest() {
  const Kept& oldest = kept_.back();
  for (const std::string& name : oldest.keys) {
    // A later reply may have taken the key.
    const auto at = by_key_.find(name);
    if (at != by_key_.end() && at->second.reply == oldest.reply) by_key_.erase(at);
  }
  bytes_ -= oldest.bytes;
  kept_.pop_back();
}

SampledCall SampledCalls::find(std::string_view tenant, const ToolCall& call) const {
  const auto arguments = canonical(call.arguments);
  if (!arguments) return {};
  const std::string by_id = key(tenant, 'i', call.id);
  const std::string by_content = key(tenant, 'c', call.name + "\n" + *arguments);
  SampledCall known, alike;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = by_key_.find(by_id); at != by_key_.end() && !call.id.empty()) known = at->second;
    if (const auto at = by_key_.find(by_content); at != by_key_.end()) alike = at->second;
  }
  if (!known.reply) return alike;
  const ToolCall& sampled = known.reply->calls[known.number];
  return sampled.name == call.name && canonical(sampled.arguments) == arguments ? known : alike;
}

size_t SampledCalls::size() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace quern::server
