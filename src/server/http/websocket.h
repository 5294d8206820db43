// The WebSocket side of a connection: Beast's protocol over our transport.
#pragma once

#include <memory>
#include <string>

#include "server/http/core.h"
#include "server/http/transport.h"

namespace quern::http {

// A connection whose request asks for the upgrade. Its place in the registry goes over to the WebSocket.
struct Upgrade {
  std::shared_ptr<Core> core;
  Socket socket;
  Transport transport;
  Request request;
  std::string received;  // bytes after the request
  Registry::Place place;
};

// On the strand. A handshake that fails is answered and closed by itself.
void start_websocket(Upgrade upgrade);

}  // namespace quern::http
