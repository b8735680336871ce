#include "formats/json_events.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/limits.h"

namespace tern {
namespace {

// Adapts the library's events to JsonVisitor and bounds the depth.
class Events : public nlohmann::json_sax<nlohmann::json> {
 public:
  Events(const std::string& source, JsonVisitor& visitor) : source_(source), visitor_(visitor) {}

  bool null() override { return visitor_.null(), true; }
  bool boolean(bool value) override { return visitor_.boolean(value), true; }
  bool number_integer(int64_t value) override { return visitor_.integer(value), true; }
  bool number_unsigned(uint64_t value) override {
    if (value <= INT64_MAX) return visitor_.integer(static_cast<int64_t>(value)), true;
    return visitor_.number(static_cast<double>(value)), true;
  }
  bool number_float(double value, const std::string&) override { return visitor_.number(value), true; }
  bool string(std::string& value) override { return visitor_.string(value), true; }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return deeper(), visitor_.begin_object(), true; }
  bool key(std::string& value) override { return visitor_.key(value), true; }
  bool end_object() override { return --depth_, visitor_.end_object(), true; }
  bool start_array(size_t) override { return deeper(), visitor_.begin_array(), true; }
  bool end_array() override { return --depth_, visitor_.end_array(), true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    bad_input(fmt::format("{}: not valid JSON at byte {}", source_, position));
  }

 private:
  void deeper() {
    if (++depth_ <= Limits::kJsonDepth) return;
    bad_input(fmt::format("{}: JSON is nested deeper than the limit of {}", source_, Limits::kJsonDepth));
  }

  const std::string& source_;
  JsonVisitor& visitor_;
  uint64_t depth_ = 0;
};

}  // namespace

void parse_json(std::span<const std::byte> text, const std::string& source, JsonVisitor& visitor) {
  Events events(source, visitor);
  const char* begin = reinterpret_cast<const char*>(text.data());
  if (text.empty()) bad_input(source + ": not valid JSON: the text is empty");
  nlohmann::json::sax_parse(begin, begin + text.size(), &events);
}

}  // namespace tern
