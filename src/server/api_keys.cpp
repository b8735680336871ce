#include "server/api_keys.h"

#include <algorithm>

#include "core/error.h"

namespace tern {
namespace {

constexpr size_t kKeys = 4096, kKeyBytes = 1024, kNameBytes = 64;

Digest digest_of(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.digest();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

// Calls `part` for each piece between separators.
template <typename Part>
void split(std::string_view text, char separator, Part part) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    part(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool equal(const Digest& a, const Digest& b) {
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

void ApiKeys::add_list(std::string_view list) {
  if (list.empty()) bad_input("[server] an API key is empty");
  split(list, ',', [this](std::string_view key) { add("", trimmed(key)); });
}

void ApiKeys::add_lines(std::string_view text) {
  const size_t before = keys_.size();
  split(text, '\n', [this](std::string_view line) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') return;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return add("", line);
    if (colon == 0) bad_input("[server] a line of the API key file has no name before its colon");
    add(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
  });
  if (keys_.size() == before) bad_input("[server] the API key file holds no key");
}

void ApiKeys::add(std::string_view name, std::string_view key) {
  if (keys_.size() == kKeys) bad_input("[server] there are more than " + std::to_string(kKeys) + " API keys");
  if (key.empty()) bad_input("[server] an API key is empty");
  if (key.size() > kKeyBytes) bad_input("[server] an API key has more than " + std::to_string(kKeyBytes) + " bytes");
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    bad_input("[server] an API key holds a space or a byte that is no printable ASCII, which no header can carry");
  }
  if (name.size() > kNameBytes) {
    bad_input("[server] a name of an API key has more than " + std::to_string(kNameBytes) + " bytes");
  }
  const Digest digest = digest_of(key);
  if (std::any_of(keys_.begin(), keys_.end(), [&](const Key& other) { return equal(other.digest, digest); })) {
    bad_input("[server] an API key is given twice");
  }
  const auto named = [&](const Tenant& tenant) { return !name.empty() && tenant.name == name; };
  auto tenant = std::find_if(tenants_.begin(), tenants_.end(), named);
  if (tenant == tenants_.end()) {
    const auto number = static_cast<uint32_t>(tenants_.size() + 1);
    // Names survive a restart and an exchange of keys, and so do prefixes that are cached under them elsewhere.
    const Digest salt = digest_of(name.empty() ? "key:" + std::string(key) : "name:" + std::string(name));
    tenants_.push_back({.number = number,
                        .name = name.empty() ? "key-" + std::to_string(number) : std::string(name),
                        .salt = std::string(salt.begin(), salt.end())});
    tenant = tenants_.end() - 1;
  }
  keys_.push_back({digest, static_cast<size_t>(tenant - tenants_.begin())});
}

const Tenant* ApiKeys::find(std::string_view given) const {
  const Digest digest = digest_of(given);  // of one length, and unlike the key's in every byte whichever byte is wrong
  const Tenant* found = nullptr;
  for (const Key& key : keys_) {
    if (equal(key.digest, digest)) found = &tenants_[key.tenant];
  }
  return found;
}

std::string_view given_key(std::string_view authorization, std::string_view x_api_key) {
  constexpr std::string_view kScheme = "Bearer ";
  return authorization.substr(0, kScheme.size()) == kScheme ? authorization.substr(kScheme.size()) : x_api_key;
}

}  // namespace tern
