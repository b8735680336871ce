// The functions that every template sees: Jinja's own and the two that transformers adds.
#include <fmt/core.h>

#include "text/jinja/objects.h"
#include "text/jinja/print.h"

namespace tern::jinja {
namespace {

// The bound of Jinja's sandbox.
constexpr int64_t kLongestRange = 100'000;
constexpr size_t kDateBytes = 4096;

Value range(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(arguments, "range", {"start", "stop", "step"});
  bound.required(0);
  const bool one = bound.get(1) == nullptr;
  const int64_t begin = one ? 0 : bound.whole_or(0, 0), end = bound.whole_or(one ? 0 : 1, 0),
                step = bound.whole_or(2, 1);
  if (step == 0) raise("range() arg 3 must not be zero");
  const auto distance = static_cast<unsigned __int128>(
      std::max<__int128>(0, step > 0 ? static_cast<__int128>(end) - begin : static_cast<__int128>(begin) - end));
  const auto stride =
      static_cast<unsigned __int128>(step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step));
  const unsigned __int128 count = (distance + stride - 1) / stride;
  if (count > kLongestRange) raise(fmt::format("Range too big. Ranges have at most {} elements", kLongestRange));
  interpreter.budget().spend_elements(static_cast<uint64_t>(count));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) items.push_back(Value::integer(begin + i * step));
  return Value::list(std::move(items));
}

// dict(mapping, name=value): also the arguments of namespace().
Dict make_dict(Interpreter& interpreter, const Arguments& arguments, std::string_view what) {
  Dict dict;
  if (arguments.positional.size() > 1) raise(fmt::format("{}() takes at most one positional argument", what));
  for (const auto& from : arguments.positional) {
    if (from.is_dict()) {
      interpreter.budget().spend_elements(from.dict().entries().size());
      for (const auto& [key, value] : from.dict().entries()) dict.set(key, value);
      continue;
    }
    const auto held = elements(interpreter.budget(), from);
    for (const auto& pair : held->items) {
      const auto parts = elements(interpreter.budget(), pair);
      if (parts->items.size() != 2) raise(fmt::format("{}() needs pairs", what));
      dict.set(parts->items[0], parts->items[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(Value::string(name, true), value);
  return dict;
}

Value make_namespace(Interpreter& interpreter, const Arguments& arguments) {
  const auto made = std::make_shared<Namespace>();
  const Dict values = make_dict(interpreter, arguments, "namespace");
  for (const auto& [key, value] : values.entries()) {
    if (!key.is_string()) raise("namespace() needs names");
    made->set(key.text().text, value);
  }
  interpreter.keep(made);
  return Value::object(made);
}

Value raise_exception(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(arguments, "raise_exception", {"message"});
  raise(interpreter.text_of(bound.required(0)).text);
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(arguments, "strftime_now", {"format"});
  const MarkedText& format = bound.text(0);
  if (format.size() > kDateBytes / 8) raise(fmt::format("strftime_now(): a format of {} bytes", format.size()));
  const std::tm now = interpreter.local_time();
  char text[kDateBytes];
  // A mark of the end tells an empty result from one that is too long.
  const size_t length = std::strftime(text, sizeof text, (format.text + "|").c_str(), &now);
  if (length == 0) raise("strftime_now(): the result is too long");
  const bool trusted = format.trusted.find('\0') == std::string::npos;
  return Value::string(std::string(text, length - 1), trusted);
}

Value make_cycler(Interpreter& interpreter, const Arguments& arguments) {
  if (arguments.positional.empty()) raise("at least one item has to be provided");
  const auto made = std::make_shared<Sequence>(Sequence::Kind::kCycler, arguments.positional);
  interpreter.keep(made);
  return Value::object(made);
}

Value make_joiner(Interpreter& interpreter, const Arguments& arguments) {
  const Bound bound(arguments, "joiner", {"sep"});
  const Value separator = bound.get(0) ? *bound.get(0) : Value::string(", ", true);
  const auto made = std::make_shared<Sequence>(Sequence::Kind::kJoiner, std::vector<Value>{separator});
  interpreter.keep(made);
  return Value::object(made);
}

Value lipsum(Interpreter&, const Arguments&) { raise("lipsum() is not supported"); }

}  // namespace

Interpreter::Variables global_functions() {
  const auto function = [](Function::Body body) { return Value::object(std::make_shared<Function>(std::move(body))); };
  return {{"range", function(range)},
          {"dict", function([](Interpreter& in, const Arguments& a) { return Value::dict(make_dict(in, a, "dict")); })},
          {"namespace", function(make_namespace)},
          {"raise_exception", function(raise_exception)},
          {"strftime_now", function(strftime_now)},
          {"cycler", function(make_cycler)},
          {"joiner", function(make_joiner)},
          {"lipsum", function(lipsum)}};
}

}  // namespace tern::jinja
