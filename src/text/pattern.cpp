#include "text/pattern.h"

#include <fmt/core.h>
#include <pcre2.h>

#include <algorithm>

#include "core/error.h"

namespace tern {
namespace {

// The JIT's stack, allocated apart from the machine's. Our own patterns need next to none of it.
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackBytes = 512 * 1024;

// Of a pattern that a file brings: steps that any text may take, steps a byte of it, and memory of the interpreter.
constexpr uint64_t kForeignSteps = 1'000'000, kForeignStepsPerByte = 1'000;
constexpr uint32_t kForeignHeapKib = 64 * 1024;
constexpr uint32_t kAnySteps = 0xFFFFFFFFu, kAnyHeapKib = 20'000'000;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};

// What one thread needs to match: made on first use, freed with the thread.
struct Matcher {
  std::unique_ptr<pcre2_match_data, Free> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Free> context{pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, Free> stack{pcre2_jit_stack_create(kJitStackStart, kJitStackBytes, nullptr)};

  Matcher() {
    if (!data || !context) fail(ErrorCode::kResource, "[tokenizer] no memory to match patterns");
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

Matcher& matcher() {
  thread_local Matcher instance;
  return instance;
}

}  // namespace

struct Pattern::Code {
  std::unique_ptr<pcre2_code, Free> code;
};

Pattern::Pattern(std::string_view source) : Pattern(source, "") {}

Pattern::Pattern(std::string_view source, std::string where)
    : code_(std::make_unique<Code>()), where_(std::move(where)) {
  const uint32_t foreign = where_.empty() ? 0 : PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  size_t offset = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                  PCRE2_UTF | PCRE2_UCP | foreign, &error, &offset, nullptr));
  if (code_->code == nullptr) {
    PCRE2_UCHAR reason[128] = {};
    pcre2_get_error_message(error, reason, sizeof(reason));
    const std::string message =
        fmt::format("pattern \"{}\" at {}: {}", printable(source), offset, reinterpret_cast<const char*>(reason));
    TERN_CHECK(!where_.empty(), message);
    bad_input(where_ + ": " + message);
  }
  jit_ = pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE) == 0;
}

Pattern::~Pattern() = default;

bool Pattern::match(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  Matcher& with = matcher();
  const uint64_t foreign_steps = kForeignSteps + kForeignStepsPerByte * text.size();
  // Of ours: the default limit of ten million would only refuse long runs of one character.
  pcre2_set_match_limit(with.context.get(), where_.empty()
                                                ? kAnySteps
                                                : static_cast<uint32_t>(std::min<uint64_t>(foreign_steps, kAnySteps)));
  pcre2_set_heap_limit(with.context.get(), where_.empty() ? kAnyHeapKib : kForeignHeapKib);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const pcre2_code* code = code_->code.get();
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) rc = pcre2_jit_match(code, subject, text.size(), from, 0, with.data.get(), with.context.get());
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {  // no JIT, or its stack is full: the interpreter keeps its state on the heap
    rc = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, with.data.get(),
                     with.context.get());
  }
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    const ErrorCode code_of_error = where_.empty() ? ErrorCode::kFailed : ErrorCode::kBadInput;
    fail(code_of_error, fmt::format("{}: splitting {} bytes: PCRE2 error {}", where_.empty() ? "[tokenizer]" : where_,
                                    text.size(), rc));
  }
  const size_t* offsets = pcre2_get_ovector_pointer(with.data.get());
  begin = offsets[0];
  end = offsets[1];
  return true;
}

}  // namespace tern
