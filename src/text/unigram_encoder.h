// SentencePiece's Unigram vocabularies (T5, XLM-R) from GGUF files: its normalization, then Unigram.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.h"
#include "text/segment_encoder.h"
#include "text/unigram.h"

namespace tern {

class UnigramEncoder : public SegmentEncoder {
 public:
  struct Options {
    bool add_space_prefix = true;
    bool remove_extra_spaces = true;  // at both ends, and all but one in a row
  };
  UnigramEncoder(Unigram pieces, CharsMap rules, Options options)
      : pieces_(std::move(pieces)), rules_(std::move(rules)), options_(options) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string bytes_of(std::string_view piece, bool user_defined) const override;
  bool adds_space() const override { return options_.add_space_prefix; }

 private:
  Unigram pieces_;
  CharsMap rules_;
  Options options_;
};

}  // namespace tern
