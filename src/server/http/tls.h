// The server's certificate chain and key from PEM files as OpenSSL's context: TLS 1.2 and newer, ALPN "http/1.1".
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace quern::http {

using TlsContext = std::shared_ptr<SSL_CTX>;

// kNotFound: a file cannot be opened; kInvalidArgument: it is not what it should be, or the two do not belong together.
// The message names the file. A key with a passphrase is refused: nobody could be asked for it.
Result<TlsContext> load_tls(const std::string& certificate, const std::string& key);

}  // namespace quern::http
