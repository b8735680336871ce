// What became of a file that may be broken: it loads, or it is refused with one line that names the file. Anything else
// is a test failure.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/error.h"
#include "formats/checkpoint.h"
#include "support/allocation_watch.h"

namespace tern::test {

struct Outcome {
  bool loaded = false;
  std::string message;  // when refused
};

// `file_bytes` bounds what may be allocated: a small multiple of the file, and some for messages and tables.
inline Outcome try_read(const std::function<Checkpoint()>& read, const std::string& path, size_t file_bytes) {
  Outcome outcome;
  const AllocationWatch watch;
  try {
    const Checkpoint checkpoint = read();
    uint64_t bytes = 0;
    for (const TensorInfo& tensor : checkpoint.tensors) {
      EXPECT_EQ(tensor.data.size(), encoded_bytes(tensor.format, static_cast<uint64_t>(tensor.elements())));
      bytes += tensor.data.size();
    }
    EXPECT_LE(bytes, file_bytes);
    outcome.loaded = true;
  } catch (const Error& error) {
    outcome.message = error.what();
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << outcome.message;
    EXPECT_NE(outcome.message.find(path), std::string::npos) << outcome.message;
    EXPECT_EQ(outcome.message.find('\n'), std::string::npos) << outcome.message;
  }
  EXPECT_LE(watch.largest(), 40 * file_bytes + 4096) << outcome.message;
  return outcome;
}

}  // namespace tern::test
