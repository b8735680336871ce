// How the text between two special tokens becomes tokens: one implementation a kind of vocabulary.
//
// Owned by the Tokenizer, which finds the special tokens; immutable after construction, any thread. Implementations
// keep a reference to the Tokenizer's Vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

class SegmentEncoder {
 public:
  SegmentEncoder() = default;
  virtual ~SegmentEncoder() = default;
  SegmentEncoder(const SegmentEncoder&) = delete;
  SegmentEncoder& operator=(const SegmentEncoder&) = delete;

  // Appends the tokens of `text`, any bytes, not empty.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
  // The same of a text that knows where it stands.
  struct Segment {
    std::string_view text;
    bool first;    // begins where the whole text does
    bool control;  // control tokens that are looked for in the encoder's own form of the text count
  };
  virtual void encode_segment(const Segment& segment, std::vector<int32_t>& ids) const { encode(segment.text, ids); }
  // What the stored string of a normal or user-defined token stands for.
  virtual std::string bytes_of(std::string_view piece, bool user_defined) const = 0;
  // Whether encode() finds user-defined tokens in the text. Otherwise the text is cut at them first, as it is at
  // control tokens in any case.
  virtual bool finds_user_defined() const { return false; }
  // Whether encode() put a space before the text that decode() takes away again.
  virtual bool adds_space() const { return false; }
  // Takes from a whole text, made of its tokens' bytes, what encode() put around it.
  virtual void trim(std::string& text) const {
    if (adds_space() && text.starts_with(' ')) text.erase(0, 1);
  }
};

// "<0xAB>", strictly: the value of the two digits.
std::optional<uint8_t> byte_of_piece(std::string_view piece);
std::string piece_of_byte(uint8_t byte);

}  // namespace tern
