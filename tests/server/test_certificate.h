// A certificate for "localhost" and its key, made on the spot, as files of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

namespace tern::testing {

class TestCertificate {
 public:
  TestCertificate() {
    static int count = 0;
    const std::string base =
        ::testing::TempDir() + "tern_tls_" + std::to_string(::getpid()) + "_" + std::to_string(count++);
    certificate_file = base + ".crt";
    key_file = base + ".key";
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509* x = certificate.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key.get());
    X509_NAME* name = X509_get_subject_name(x);
    const auto* host = reinterpret_cast<const unsigned char*>("localhost");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_sign(x, key.get(), EVP_sha256());
    write(certificate_file, [&](std::FILE* file) { PEM_write_X509(file, x); });
    write(key_file,
          [&](std::FILE* file) { PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }
  ~TestCertificate() {
    std::remove(certificate_file.c_str());
    std::remove(key_file.c_str());
  }
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;

  std::string certificate_file, key_file;

 private:
  template <typename Write>
  static void write(const std::string& path, Write body) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    body(file);
    std::fclose(file);
  }
};

}  // namespace tern::testing
