// One ragged batch as kernels see it: a concatenation of query tokens of many sequences, each with its own history.
//
// Sequence i owns the query rows [query_begin, query_begin + query_len) of every [tokens, ...] buffer. Its first query
// token is at position history_len; its keys are positions [0, history_len + query_len). Position p lies in block
// block_table[p / block_tokens] at slot p % block_tokens. There is no prefill or decode mode: 1 query token is a
// decode. Plain structs: ISA files include this. Pointers are borrowed for the duration of a step.
#pragma once

#include <cstdint>

namespace tern {

struct SequenceSlice {
  int32_t query_begin;
  int32_t query_len;
  int32_t history_len;
  const int32_t* block_table;
};

struct BatchShape {
  const SequenceSlice* sequences;
  int32_t sequence_count;
  int32_t tokens;  // sum of query_len
  int32_t rows;    // tokens whose logits are wanted
};

}  // namespace tern
