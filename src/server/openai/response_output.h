// ResponseOutput: the output items of a response, reasoning, texts and function calls, put together from a reply's
// deltas, and the events that tell of them as they grow. One thread at a time. Source document:
// platform.openai.com/docs/api-reference, responses/object and responses-streaming.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "chat/tools/reply_parser.h"
#include "server/body.h"

namespace quern::server {

class ResponseOutput {
 public:
  // Gets each event's type and its members, as they follow others in a JSON text.
  using Tell = std::function<void(std::string_view type, std::string_view members)>;

  // Items get ids with `id` within. Without `tell` the items are made and nobody is told.
  explicit ResponseOutput(std::string id, Tell tell = {}) : id_(std::move(id)), tell_(std::move(tell)) {}

  void add(const tools::Delta& delta);
  void add_text(std::string_view text);
  // A whole reply: what was thought, the text, the calls.
  void add(const ParsedReply& reply);

  // Ends the item that is growing; an answer without any gets an empty text. "completed", or "incomplete" where it was
  // cut. Nothing is added afterwards.
  Json finish(std::string_view status);

 private:
  enum class Kind : uint8_t { kNone, kReasoning, kText, kCall };

  void open(Kind kind);
  void open_call(const tools::Delta& delta);
  void grow(std::string_view piece);
  void close(std::string_view status);
  [[nodiscard]] Json part() const;
  [[nodiscard]] Json item(std::string_view status) const;
  // An event that says of which item.
  void tell_of_item(std::string_view type, const Json& more);
  void tell_item(std::string_view type, std::string_view status);

  const std::string id_;
  const Tell tell_;
  Json items_ = Json::array();
  Kind kind_ = Kind::kNone;  // of the one that is growing
  std::string item_id_, text_, call_id_, name_;
  std::string place_, delta_head_;  // what all events of the item have, and those of its pieces
};

}  // namespace quern::server
