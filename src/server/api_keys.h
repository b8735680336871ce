// The API keys that the server accepts, and whose requests they mark.
//
// A key belongs to a tenant: its name's, so that a tenant may have several, as while keys are exchanged; a key without
// a name is a tenant of its own. Filled before the server starts, constant afterwards; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/sha256.h"

namespace tern {

struct Tenant {
  uint32_t number = 0;  // from 1; 0: the server asks for no key
  std::string name;     // for the log
  std::string salt;     // 32 bytes: keeps its cached prefixes apart from other tenants'
};

class ApiKeys {
 public:
  ApiKeys() = default;
  // Keys without a name, separated by commas.
  explicit ApiKeys(std::string_view list) { add_list(list); }

  // Throw a bad-input line when a key is empty, too long or given twice; it never holds the key.
  void add_list(std::string_view list);
  // A file's text: one key a line, as KEY or NAME:KEY; empty lines and such that begin with '#' do not count.
  void add_lines(std::string_view text);

  bool empty() const { return keys_.empty(); }
  // Whose key it is; null when nobody's. Takes the same time wherever a wrong key differs from right ones.
  const Tenant* find(std::string_view given) const;

 private:
  struct Key {
    Digest digest;
    size_t tenant;  // index
  };
  void add(std::string_view name, std::string_view key);

  std::vector<Key> keys_;
  std::vector<Tenant> tenants_;
};

// The key in "Authorization: Bearer KEY" or, without that, "x-api-key: KEY".
std::string_view given_key(std::string_view authorization, std::string_view x_api_key);

}  // namespace tern
