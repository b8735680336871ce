// The pipeline of tokenizer.json between two added tokens: normalize, find what is looked for in normalized text, cut
// into words, words to tokens. Owned by the Tokenizer; immutable, any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/hf/decoder.h"
#include "text/hf/model.h"
#include "text/hf/normalizer.h"
#include "text/hf/pre_tokenizer.h"
#include "text/segment_encoder.h"

namespace tern::hf {

class PipelineEncoder : public SegmentEncoder {
 public:
  using Forms = std::unordered_map<std::string, std::string>;
  struct Parts {
    Normalizer normalizer;
    AddedTokens normalized;  // the added tokens that normalized text is searched for
    WordSplitter splitter;
    std::unique_ptr<const WordModel> model;
    Decoder decoder;
    Forms forms;  // of user-defined tokens that normalizing changes: those are what they stand for
  };
  explicit PipelineEncoder(Parts parts) : parts_(std::move(parts)) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    encode_segment({.text = text, .first = true, .control = false}, ids);
  }
  void encode_segment(const Segment& segment, std::vector<int32_t>& ids) const override;
  std::string bytes_of(std::string_view piece, bool user_defined) const override;
  bool adds_space() const override { return parts_.decoder.adds_space(); }
  void trim(std::string& text) const override { parts_.decoder.trim(text); }

 private:
  struct Scratch {
    Words words;
    WordModel::Scratch model;
  };
  void encode_valid(const Segment& segment, Scratch& scratch, std::vector<int32_t>& ids) const;
  void encode_plain(std::string_view text, bool first, Scratch& scratch, std::vector<int32_t>& ids) const;

  Parts parts_;
};

}  // namespace tern::hf
