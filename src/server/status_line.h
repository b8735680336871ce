// The line that says every few seconds what the engine does, while it does something. One owner, one thread.
#pragma once

#include "engine/engine.h"

namespace tern {

class StatusLine {
 public:
  // `now_ns` on any steady clock. Logs rates since the last call; nothing when nothing was or is to do.
  void log(const EngineStats& stats, int64_t now_ns);

 private:
  EngineStats last_;
  int64_t last_ns_ = 0;
  bool quiet_ = true;  // the last line said that nothing is left
};

}  // namespace tern
