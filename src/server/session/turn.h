// start_turn: one answer of a model into a session: the model is waited for, the prompt is made on a worker thread, and
// the engine's tokens become the session's events.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/auth/api_keys.h"
#include "server/session/session.h"

namespace quern::server {

class App;

// Who asks.
struct TurnClient {
  std::shared_ptr<const Principal> principal;
  std::string address;
  bool websocket = false;  // then no HTTP request tells the log and the metrics about it
};

// Calls `started` exactly once, on any thread: with what was wrong, when the session is as it was, or with nothing,
// before the turn's first event. `begin.messages` or `begin.prompt` are added to what the session has, `begin.options`
// replace its own. The turn ends with an event "end" or "error" whatever happens, except that the session is closed.
void start_turn(App& app, const TurnClient& client, const std::shared_ptr<Session>& session, StartBody begin,
                std::function<void(const std::optional<StreamError>&)> started);

}  // namespace quern::server
