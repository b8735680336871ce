// Text <-> tokens of one model: special tokens and, between them, what its kind of vocabulary makes of the text; built
// from a model file's metadata, or of parts (text/hf: those of a tokenizer.json).
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
#include "text/added_tokens.h"
#include "text/marked_text.h"
#include "text/segment_encoder.h"
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

  struct Parts {
    std::unique_ptr<const Vocabulary> vocabulary;  // the encoder keeps a reference to it
    std::unique_ptr<const SegmentEncoder> encoder;
    std::unique_ptr<const AddedTokens> special;
    std::unique_ptr<const AddedTokens> special_when_marked;  // for encode_marked(); null: the same
    std::optional<int32_t> bos, eos;
    std::vector<int32_t> before, behind;  // what add_special puts around a text
    std::vector<int32_t> ends;            // tokens that end a generation, beside those that are known to
  };
  explicit Tokenizer(Parts parts);

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
  int32_t vocab_size() const { return parts_.vocabulary->size(); }
  // Control and unknown tokens: not part of the text that a model writes.
  bool is_control(int32_t id) const;
  // What ends a generation: EOS, end of turn, end of message.
  bool is_end(int32_t id) const;
  std::span<const int32_t> end_tokens() const { return parts_.ends; }  // ascending
  std::optional<int32_t> bos() const { return parts_.bos; }
  std::optional<int32_t> eos() const { return parts_.eos; }
  bool adds_bos() const { return !parts_.before.empty() && parts_.before.front() == parts_.bos; }
  bool adds_eos() const { return !parts_.behind.empty() && parts_.behind.back() == parts_.eos; }
  std::optional<int32_t> find(std::string_view piece) const { return parts_.vocabulary->find(piece); }

 private:
  void complete_ends();
  std::vector<int32_t> encode_with(const AddedTokens& special, std::string_view text, SpecialTokens::Control control,
                                   bool add_special) const;

  Parts parts_;
};

}  // namespace tern
