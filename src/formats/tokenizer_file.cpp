#include "formats/tokenizer_file.h"

#include <fmt/core.h>

#include <optional>

#include "core/error.h"
#include "core/limits.h"
#include "formats/string_pool.h"

namespace tern {
namespace {

// Sends events to the tree, except those between the brackets of model.vocab and model.merges.
class TokenizerVisitor : public JsonVisitor {
 public:
  TokenizerVisitor(TokenizerFile& file, StringPool& pool) : file_(file), pool_(pool), tree_(file.source) {}
  JsonValue take() { return tree_.take(); }

  void null() override { list_ == List::kNone ? tree_.null() : refuse("null"); }
  void boolean(bool value) override { list_ == List::kNone ? tree_.boolean(value) : refuse("a boolean"); }
  void integer(int64_t value) override;
  void number(double value) override;
  void string(std::string_view value) override;
  void begin_object() override;
  void key(std::string_view value) override;
  void end_object() override;
  void begin_array() override;
  void end_array() override;

 private:
  enum class List : uint8_t { kNone, kVocabulary, kScores, kMerges };
  [[noreturn]] void refuse(std::string_view what) const;
  void begin_list(List list);
  void add_score(double score);
  void add_merge(std::string_view text);
  template <typename T>
  void push(std::vector<T>& list, T entry);

  TokenizerFile& file_;
  StringPool& pool_;
  JsonTreeBuilder tree_;
  uint64_t depth_ = 0;         // containers around the next event
  std::string section_, key_;  // the last keys of the document and of its "model"
  List list_ = List::kNone;
  bool inside_ = false;                  // an entry that is itself an array has begun
  std::vector<std::string_view> entry_;  // its strings so far
  std::optional<double> score_;
};

void TokenizerVisitor::refuse(std::string_view what) const {
  if (list_ == List::kMerges) {
    bad_input(fmt::format("{}: model.merges[{}] is {}, neither \"left right\" nor [left, right]", file_.source,
                          file_.merges.size(), what));
  }
  if (list_ == List::kScores) {
    bad_input(fmt::format("{}: model.vocab[{}] is {}, not [token, score]", file_.source, file_.scores.size(), what));
  }
  bad_input(fmt::format("{}: an id in model.vocab is {}, not an integer", file_.source, what));
}

template <typename T>
void TokenizerVisitor::push(std::vector<T>& list, T entry) {
  if (list.size() == Limits::kVocabulary) {
    bad_input(
        fmt::format("{}: model.{} has more entries than the limit of {}", file_.source, key_, Limits::kVocabulary));
  }
  list.push_back(std::move(entry));
}

void TokenizerVisitor::integer(int64_t value) {
  if (list_ == List::kNone) return tree_.integer(value);
  if (list_ == List::kScores) return add_score(static_cast<double>(value));
  if (list_ != List::kVocabulary) refuse("a number");
  push(file_.vocabulary, {entry_.back(), value});
}

void TokenizerVisitor::number(double value) {
  if (list_ == List::kNone) return tree_.number(value);
  if (list_ != List::kScores) refuse("a fraction");
  add_score(value);
}

void TokenizerVisitor::add_score(double score) {
  if (!inside_ || entry_.size() != 1 || score_) refuse("of another form");
  score_ = score;
}

void TokenizerVisitor::string(std::string_view value) {
  if (list_ == List::kNone) return tree_.string(value);
  if (list_ == List::kMerges && !inside_) return add_merge(pool_.add(value));
  if (list_ == List::kVocabulary || !inside_ || entry_.size() == 2) refuse("of another form");
  entry_.push_back(pool_.add(value));
}

void TokenizerVisitor::add_merge(std::string_view text) {
  const size_t space = text.find(' ');
  if (text.starts_with("#version")) return;  // the first line of the text file that merges once were
  if (space == text.npos || text.find(' ', space + 1) != text.npos) refuse("not two tokens with a space between");
  push(file_.merges, {text.substr(0, space), text.substr(space + 1)});
}

void TokenizerVisitor::begin_list(List list) {
  const bool again =
      list == List::kMerges ? !file_.merges.empty() : !(file_.vocabulary.empty() && file_.scores.empty());
  if (again) bad_input(fmt::format("{}: model.{} appears twice", file_.source, key_));
  list_ = list;
  tree_.null();
}

void TokenizerVisitor::begin_object() {
  if (list_ != List::kNone) refuse("an object");
  ++depth_;
  if (depth_ == 3 && section_ == "model" && key_ == "vocab") return begin_list(List::kVocabulary);
  tree_.begin_object();
}

void TokenizerVisitor::key(std::string_view value) {
  if (list_ == List::kVocabulary) {
    entry_.assign(1, pool_.add(value));
    return;
  }
  if (depth_ == 1) section_ = value;
  if (depth_ == 2) key_ = value;
  tree_.key(value);
}

void TokenizerVisitor::end_object() {
  --depth_;
  if (list_ == List::kNone) return tree_.end_object();
  list_ = List::kNone;
}

void TokenizerVisitor::begin_array() {
  if (list_ == List::kVocabulary || inside_) refuse("an array");
  ++depth_;
  if (list_ != List::kNone) {
    inside_ = true;
    entry_.clear();
    score_.reset();
    return;
  }
  if (depth_ == 3 && section_ == "model" && key_ == "merges") return begin_list(List::kMerges);
  if (depth_ == 3 && section_ == "model" && key_ == "vocab") return begin_list(List::kScores);
  tree_.begin_array();
}

void TokenizerVisitor::end_array() {
  --depth_;
  if (list_ == List::kNone) return tree_.end_array();
  if (!inside_) {
    list_ = List::kNone;
  } else if (list_ == List::kMerges) {
    if (entry_.size() != 2) refuse("of another form");
    push(file_.merges, {entry_[0], entry_[1]});
  } else {
    if (entry_.size() != 1 || !score_) refuse("of another form");
    push(file_.scores, {entry_[0], *score_});
  }
  inside_ = false;
}

}  // namespace

TokenizerFile read_tokenizer_file(std::span<const std::byte> text, const std::string& path) {
  TokenizerFile file;
  file.source = "[tokenizer] " + printable(path, 4096);
  if (text.size() > Limits::kTokenizerBytes) {
    bad_input(fmt::format("{}: {} bytes exceed the limit of {}", file.source, text.size(), Limits::kTokenizerBytes));
  }
  StringPool pool(text.size());
  TokenizerVisitor visitor(file, pool);
  parse_json(text, file.source, visitor);
  file.root = visitor.take();
  file.strings = pool.storage();
  return file;
}

}  // namespace tern
