// SentencePiece's Unigram vocabularies (T5, XLM-R) from GGUF files: its normalization, then Unigram.
//
// User-defined tokens do not cut the text: all of it is normalized at once but for them, and Unigram prefers them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.h"
#include "text/segment_encoder.h"
#include "text/special_tokens.h"
#include "text/unigram.h"

namespace tern {

class UnigramEncoder : public SegmentEncoder {
 public:
  struct Options {
    bool add_space_prefix = true;
    bool remove_extra_spaces = true;  // at both ends, and all but one in a row
  };
  UnigramEncoder(Unigram pieces, SpecialTokens user_defined, CharsMap rules, Options options)
      : pieces_(std::move(pieces)),
        user_defined_(std::move(user_defined)),
        rules_(std::move(rules)),
        options_(options) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string bytes_of(std::string_view piece, bool user_defined) const override;
  bool finds_user_defined() const override { return true; }
  bool adds_space() const override { return options_.add_space_prefix; }

 private:
  Unigram pieces_;
  SpecialTokens user_defined_;
  CharsMap rules_;
  Options options_;
};

}  // namespace tern
