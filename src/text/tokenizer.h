// Text <-> tokens of one model: special tokens and, between them, what its kind of vocabulary makes of the text; built
// from a model file's metadata.
//
// Shared by every request; immutable after construction, every method may be called from any thread. It keeps copies of
// what it needs: the file may be closed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/metadata.h"
#include "text/marked_text.h"
#include "text/segment_encoder.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace tern {

struct EncodeOptions {
  bool add_special = true;    // BOS and EOS as the file says
  bool parse_special = true;  // control tokens inside the text become their ids; user-defined ones always do
};

class Tokenizer {
 public:
  // From the keys tokenizer.ggml.*. Throws a bad-input line that names key and reason.
  static std::shared_ptr<const Tokenizer> from_metadata(const Metadata& metadata);

  // Any bytes. What is not valid UTF-8 becomes one token a byte, so that decode() gives it back. Bytes without a token
  // of their own (a vocabulary may lack some) are dropped.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // As encode, but a control token is found only where every byte of it is trusted.
  std::vector<int32_t> encode_marked(const MarkedText& text, bool add_special) const;
  // Bytes, not necessarily valid UTF-8. Ids outside the vocabulary stand for nothing. The tokens are a whole text: the
  // space that some vocabularies put before it is taken away; what goes on from other tokens is read by token_bytes().
  std::string decode(std::span<const int32_t> ids, bool keep_control = false) const;

  // The vocabulary's string as stored; empty for an id outside it.
  std::string_view piece(int32_t id) const;
  // The bytes the token stands for; of control tokens their text.
  std::string token_bytes(int32_t id) const;
  int32_t vocab_size() const { return vocabulary_.size(); }
  // Control and unknown tokens: not part of the text that a model writes.
  bool is_control(int32_t id) const;
  // What ends a generation: EOS, end of turn, end of message.
  bool is_end(int32_t id) const;
  std::span<const int32_t> end_tokens() const { return ends_; }  // ascending
  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  bool adds_bos() const { return adds_bos_; }
  bool adds_eos() const { return adds_eos_; }
  std::optional<int32_t> find(std::string_view piece) const { return vocabulary_.find(piece); }

 private:
  explicit Tokenizer(const Metadata& metadata);
  void choose_encoder(const Metadata& metadata);
  void collect_end_tokens(const Metadata& metadata);
  std::vector<int32_t> encode_with(std::string_view text, SpecialTokens::Control control, bool add_special) const;

  Vocabulary vocabulary_;
  std::optional<int32_t> bos_, eos_;
  SpecialTokens special_;
  std::unique_ptr<const SegmentEncoder> encoder_;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
  std::vector<int32_t> ends_;
};

}  // namespace tern
