// The vocabularies of BERT and MiniLM encoders: BERT's normalization and words, then WordPiece.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/bert_text.h"
#include "text/segment_encoder.h"
#include "text/wordpiece.h"

namespace tern {

class BertEncoder : public SegmentEncoder {
 public:
  BertEncoder(WordPiece pieces, const BertTextOptions& options) : pieces_(std::move(pieces)), options_(options) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;
  // A space stands in front of a piece that begins a word. What normalization took away does not come back.
  std::string bytes_of(std::string_view piece, bool user_defined) const override;
  bool adds_space() const override { return true; }

 private:
  WordPiece pieces_;
  BertTextOptions options_;
};

}  // namespace tern
