#include "server/http/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

#include "tests/support/http_fixture.h"

namespace quern::http {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// A key, and a certificate that it signed itself, as PEM files.
void write_certificate(const std::string& certificate_path, const std::string& key_path, long serial) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  ASSERT_TRUE(key && certificate);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  ASSERT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  const std::unique_ptr<std::FILE, FileCloser> certificate_file(std::fopen(certificate_path.c_str(), "wb"));
  const std::unique_ptr<std::FILE, FileCloser> key_file(std::fopen(key_path.c_str(), "wb"));
  ASSERT_TRUE(certificate_file && key_file);
  ASSERT_EQ(PEM_write_X509(certificate_file.get(), certificate.get()), 1);
  ASSERT_EQ(PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
}

class TlsTest : public HttpTest {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(::testing::TempDir()) / ("quern_tls_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
    write_certificate(path("cert"), path("key"), 1);
    write_certificate(path("other_cert"), path("other_key"), 2);
    context_.reset(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  }
  void TearDown() override {
    HttpTest::TearDown();
    std::filesystem::remove_all(dir_);
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  ServerOptions options() const { return {.tls_certificate = path("cert"), .tls_key = path("key")}; }
  HttpClient tls_client() {
    HttpClient c = client();
    EXPECT_TRUE(c.start_tls(context_.get()));
    return c;
  }
  static long serial(const HttpClient& c) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(c.tls()), X509_free);
    return certificate ? ASN1_INTEGER_get(X509_get_serialNumber(certificate.get())) : -1;
  }

  std::filesystem::path dir_;
  std::shared_ptr<SSL_CTX> context_;
};

TEST_F(TlsTest, ServesWholeAnswersAndStreams) {
  serve(
      [](std::shared_ptr<Exchange> exchange) {
        EXPECT_TRUE(exchange->request().tls);
        if (exchange->request().path == "/echo") return exchange->respond({.body = exchange->request().body});
        exchange->begin(200, "text/plain", {});
        for (int i = 0; i < 100; ++i) exchange->write(std::string(10'000, 'x'));
        exchange->end();
      },
      options());
  HttpClient c = tls_client();
  const std::string body(500'000, 'b');
  for (int i = 0; i < 2; ++i) {
    c.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n" + body);
    EXPECT_EQ(c.answer().body, body);
    EXPECT_EQ(c.get("/stream").body.size(), 1'000'000u);
  }
}

TEST_F(TlsTest, NoticesAClientThatDies) {
  serve_kept(options());
  for (const bool polite : {false, true}) {
    HttpClient c = tls_client();
    c.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    const auto exchange = take_kept();
    std::atomic<int> gone = 0;
    exchange->on_gone([&] { ++gone; });
    if (polite) SSL_shutdown(c.tls());
    c.close();
    EXPECT_TRUE(eventually([&] { return gone == 1; }));
  }
}

TEST_F(TlsTest, ReadsTheCertificateAgain) {
  serve_text("x", options());
  HttpClient before = tls_client();
  EXPECT_EQ(serial(before), 1);
  std::filesystem::copy_file(path("other_cert"), path("cert"), std::filesystem::copy_options::overwrite_existing);
  const auto half = server_->reload_tls();  // the key is still the old one's
  ASSERT_FALSE(half);
  EXPECT_EQ(serial(tls_client()), 1);
  std::filesystem::copy_file(path("other_key"), path("key"), std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(server_->reload_tls());
  EXPECT_EQ(serial(tls_client()), 2);
  EXPECT_EQ(before.get("/").body, "x");
}

TEST_F(TlsTest, NamesTheFileThatIsWrong) {
  const auto message = [](const std::string& certificate, const std::string& key) {
    const auto loaded = load_tls(certificate, key);
    return loaded ? std::string("loaded") : loaded.error().message;
  };
  EXPECT_EQ(message(path("cert"), path("key")), "loaded");
  EXPECT_NE(message(path("none"), path("key")).find(path("none")), std::string::npos);
  EXPECT_NE(message(path("cert"), path("none")).find(path("none")), std::string::npos);
  EXPECT_NE(message(path("key"), path("key")).find("not a PEM certificate"), std::string::npos);
  EXPECT_NE(message(path("cert"), path("cert")).find("not a PEM private key"), std::string::npos);
  EXPECT_NE(message(path("cert"), path("other_key")).find("belongs to " + path("cert")), std::string::npos);
  EXPECT_NE(message(path("cert"), "").find("key"), std::string::npos);
  EXPECT_FALSE(Server::start({.port = 0, .tls_certificate = path("cert")}, {.http = [](auto) {}}));
  serve_text("x");
  EXPECT_FALSE(server_->reload_tls());
}

TEST_F(TlsTest, EndsWhatSpeaksNoTlsOrNothing) {
  ServerOptions with_timeout = options();
  with_timeout.header_timeout_s = 0.05;
  serve_text("x", with_timeout);
  HttpClient plain = client(), silent = client(), dead = client();
  plain.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  dead.close();
  EXPECT_NE(plain.receive_all().substr(0, 4), "HTTP");
  EXPECT_TRUE(silent.ended());
  EXPECT_GE(stats().bad_requests, 1u);
  EXPECT_GE(stats().timeouts, 1u);
}

}  // namespace
}  // namespace quern::http
