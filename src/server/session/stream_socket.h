// StreamSocket: one WebSocket that speaks the streaming protocol: client messages to sessions, and their events back.
// Several sessions may be followed on it.
//
// It lives as long as its connection. Messages are handled one at a time, in order, on the worker threads.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "server/auth/api_keys.h"
#include "server/http/http.h"
#include "server/session/message.h"
#include "server/session/session.h"

namespace quern::server {

class App;

class StreamSocket : public std::enable_shared_from_this<StreamSocket> {
 public:
  static void start(App& app, std::shared_ptr<http::WebSocket> socket, std::shared_ptr<const Principal> principal);

 private:
  class SocketFollower;
  // What a session is attached for, to be told to the client.
  struct Greeting {
    std::string ref;
    bool wanted = true;  // a message "session"
  };

  StreamSocket(App& app, std::shared_ptr<http::WebSocket> socket, std::shared_ptr<const Principal> principal);
  void on_message(std::string text);
  void handle_next();
  void handle(std::string_view text);
  void begin(const ClientMessage& message);
  void resume(const ClientMessage& message, const std::shared_ptr<Session>& session);
  void started(const std::shared_ptr<Session>& session, bool fresh, uint64_t after,
               const std::optional<std::string>& ref, const std::optional<StreamError>& error);
  bool follow(const std::shared_ptr<Session>& session, uint64_t after, Greeting greeting);
  void leave_all();
  void close_when_settled();
  void fail(const StreamError& error, std::string_view session, std::string_view ref);

  App& app_;
  const std::shared_ptr<http::WebSocket> socket_;
  const std::shared_ptr<const Principal> principal_;

  std::mutex mutex_;  // never held while a session is called that takes its own lock
  std::deque<std::string> inbox_;
  size_t inbox_bytes_ = 0;
  bool handling_ = false, closed_ = false, draining_ = false;
  size_t starting_ = 0;  // turns that are about to begin
  struct Followed {
    std::shared_ptr<Session> session;
    std::shared_ptr<SocketFollower> follower;
  };
  std::map<std::string, Followed> followed_;  // by session
};

}  // namespace quern::server
