#include "server/http/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace quern::http {
namespace {

// What OpenSSL said last, and an empty queue.
std::string take_reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error ? ERR_reason_error_string(error) : nullptr;
  ERR_clear_error();
  return reason ? reason : "no reason given";
}

Status check_readable(const std::string& path, const char* what) {
  std::FILE* file = path.empty() ? nullptr : std::fopen(path.c_str(), "rb");
  if (path.empty())
    return fail(ErrorCode::kInvalidArgument, fmt::format("TLS needs a {} beside its counterpart", what));
  if (!file)
    return fail(ErrorCode::kNotFound,
                fmt::format("{}: the TLS {} cannot be read: {}", path, what, std::strerror(errno)));
  std::fclose(file);
  return {};
}

int no_passphrase(char*, int, int, void*) {
  return -1;
}

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext> load_tls(const std::string& certificate, const std::string& key) {
  if (auto ok = check_readable(certificate, "certificate"); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_readable(key, "key"); !ok) return tl::unexpected(ok.error());
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()), [](SSL_CTX* c) { SSL_CTX_free(c); });
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return fail(ErrorCode::kResource, "OpenSSL cannot be set up: " + take_reason());
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION);
  // Idle connections keep no buffers; a write may go on with the rest of its bytes at another address.
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: not a PEM certificate chain, the server's first: {}", certificate, take_reason()));
  }
  // Checks against the certificate as well.
  if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: not a PEM private key without passphrase that belongs to {}: {}", key, certificate,
                            take_reason()));
  }
  return context;
}

}  // namespace quern::http
