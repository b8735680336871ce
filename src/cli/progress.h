// A progress bar on standard error: drawn only on a terminal, coloured unless NO_COLOR is set, gone when it ends.
#pragma once

#include <cstdint>
#include <string>

namespace tern {

class ProgressBar {
 public:
  ProgressBar(std::string label, uint64_t total_bytes);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Never goes back and never past the total: what it is fed is an estimate.
  void show(uint64_t done_bytes);

 private:
  std::string label_;
  uint64_t total_bytes_;
  uint64_t done_bytes_ = 0;
  bool visible_;
  bool coloured_;
};

// "98 MB"; powers of ten, as package tools count.
std::string megabytes(uint64_t bytes);

}  // namespace tern
