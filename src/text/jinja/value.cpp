#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

// Dictionaries this small are searched from the front.
constexpr size_t kSmallDict = 8;

uint32_t deeper(uint32_t depth) {
  if (depth >= Limits::kJsonDepth) raise("values nested more than " + std::to_string(Limits::kJsonDepth) + " deep");
  return depth + 1;
}

// Equal keys have equal canonical texts: 1, 1.0 and true are one key, as in Python.
std::string canonical_key(const Value& key) {
  if (key.is_string()) return "s" + key.text().text;
  if (key.is_none()) return "n";
  if (key.is_whole()) return "i" + std::to_string(key.whole());
  if (key.is_float()) {
    const double value = key.real();
    if (value == std::floor(value) && std::abs(value) < 9e18) return "i" + std::to_string(static_cast<int64_t>(value));
    return "f" + std::string(reinterpret_cast<const char*>(&value), sizeof value);
  }
  raise("unhashable type: '" + std::string(key.type_name()) + "'");
}

bool equal_lists(Budget& budget, const List& a, const List& b) {
  const bool tuple = a.kind == List::Kind::kTuple;
  if (tuple != (b.kind == List::Kind::kTuple) || a.items.size() != b.items.size()) return false;
  budget.spend_elements(a.items.size());
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(budget, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  if (a.entries().size() != b.entries().size()) return false;
  budget.spend_elements(a.entries().size());
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(budget, value, *other)) return false;
  }
  return true;
}

template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

std::optional<Value> Object::attribute(Interpreter&, std::string_view) { return std::nullopt; }

Value Object::call(Interpreter&, Arguments) { raise("'" + std::string(type_name()) + "' object is not callable"); }

const Dict::Entry* Dict::find_text(const std::string& canonical) const {
  const auto found = index_.find(canonical);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const Value* Dict::find(std::string_view key) const {
  if (entries_.size() <= kSmallDict) {
    for (const auto& [name, value] : entries_) {
      if (name.is_string() && name.text().text == key) return &value;
    }
    return nullptr;
  }
  const Entry* entry = find_text("s" + std::string(key));
  return entry ? &entry->second : nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is_string()) return find(key.text().text);
  const Entry* entry = find_text(canonical_key(key));
  return entry ? &entry->second : nullptr;
}

void Dict::set(Value key, Value value) {
  depth_ = std::max(depth_, deeper(value.depth()));
  const auto [at, added] = index_.try_emplace(canonical_key(key), entries_.size());
  if (added) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    entries_[at->second].second = std::move(value);
  }
}

Value Value::list(std::vector<Value> items, List::Kind kind) {
  auto made = std::make_shared<List>();
  made->kind = kind;
  for (const auto& item : items) made->depth = std::max(made->depth, deeper(item.depth()));
  made->items = std::move(items);
  return Value(std::move(made));
}

Value Value::dict(Dict dict) { return Value(std::make_shared<const Dict>(std::move(dict))); }

uint32_t Value::depth() const {
  if (is_list()) return list().depth;
  if (is_dict()) return dict().depth();
  return is_object() ? object()->depth : 0;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_float()) return real() != 0;
  if (is_number()) return whole() != 0;
  if (is_string()) return !text().empty();
  if (is_list()) return list().kind == List::Kind::kGenerator || !list().items.empty();
  return is_object() || !dict().entries().empty();
}

bool Value::same_as(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_list()) return list_ptr() == other.list_ptr();
  if (is_dict()) return &dict() == &other.dict();
  if (is_object()) return object() == other.object();
  if (is_string()) return text().text == other.text().text;
  if (is_number()) return real() == other.real();
  return true;
}

std::string_view Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_boolean()) return "bool";
  if (is_integer()) return "int";
  if (is_float()) return "float";
  if (is_string()) return "str";
  if (is_dict()) return "dict";
  if (is_object()) return object()->type_name();
  constexpr std::string_view kNames[] = {"list", "tuple", "generator", "dict view"};
  return kNames[static_cast<size_t>(list().kind)];
}

void Value::raise_undefined() const {
  const auto& why = std::get<Undefined>(data_).why;
  raise(why ? *why : "a value is undefined");
}

Value::ListPtr elements(Budget& budget, const Value& value) {
  if (value.is_list()) {
    if (value.list().kind != List::Kind::kGenerator) return value.list_ptr();
    auto taken = std::make_shared<List>();
    taken->items = std::exchange(value.list().items, {});
    taken->depth = value.list().depth;
    return taken;
  }
  if (value.is_string()) {
    budget.spend_bytes(value.text().size());
    return Value::list(characters(budget, value.text())).list_ptr();
  }
  std::vector<Value> items;
  if (value.is_dict()) {
    budget.spend_elements(value.dict().entries().size());
    for (const auto& entry : value.dict().entries()) items.push_back(entry.first);
  } else if (!value.is_undefined()) {
    raise("'" + std::string(value.type_name()) + "' object is not iterable");
  }
  return Value::list(std::move(items)).list_ptr();
}

bool equal(Budget& budget, const Value& a, const Value& b) {
  budget.spend(1);
  if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
  if (a.is_number() && b.is_number()) return a.real() == b.real();
  if (a.is_string() && b.is_string()) {
    if (a.text().size() == b.text().size()) budget.spend_bytes(a.text().size());
    return a.text().text == b.text().text;
  }
  if (a.is_list() && b.is_list()) return a.list_ptr() == b.list_ptr() || equal_lists(budget, a.list(), b.list());
  if (a.is_dict() && b.is_dict()) return equal_dicts(budget, a.dict(), b.dict());
  return a.same_as(b);
}

int compare(Budget& budget, const Value& a, const Value& b) {
  budget.spend(1);
  if (a.is_undefined()) a.raise_undefined();
  if (b.is_undefined()) b.raise_undefined();
  if (a.is_whole() && b.is_whole()) return order(a.whole(), b.whole());
  if (a.is_number() && b.is_number()) return order(a.real(), b.real());
  if (a.is_string() && b.is_string()) {  // the order of UTF-8 bytes is that of code points
    budget.spend_bytes(std::min(a.text().size(), b.text().size()));
    return a.text().text.compare(b.text().text);
  }
  if (a.is_list() && b.is_list() && a.list().kind == b.list().kind) {
    const size_t shared = std::min(a.list().items.size(), b.list().items.size());
    for (size_t i = 0; i < shared; ++i) {
      if (equal(budget, a.list().items[i], b.list().items[i])) continue;
      return compare(budget, a.list().items[i], b.list().items[i]);
    }
    return order(a.list().items.size(), b.list().items.size());
  }
  raise("'" + std::string(a.type_name()) + "' and '" + std::string(b.type_name()) + "' have no order");
}

bool contains(Budget& budget, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) raise("'in <string>' requires a string, not " + std::string(item.type_name()));
    budget.spend_bytes(container.text().size());
    return find_bytes(container.text().text, item.text().text, 0) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().find(item) != nullptr;
  const auto held = elements(budget, container);
  for (const auto& element : held->items) {
    if (equal(budget, element, item)) return true;
  }
  return false;
}

}  // namespace tern::jinja
