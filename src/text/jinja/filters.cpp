#include "text/jinja/filters.h"

#include <unordered_map>

namespace tern::jinja {

Filter find_filter(std::string_view name) {
  static const auto kTable = [] {
    std::unordered_map<std::string_view, Filter> table;
    for (const auto rows : {text_filters(), sequence_filters(), order_filters(), value_filters()}) {
      for (const auto& row : rows) table.emplace(row.name, row.filter);
    }
    return table;
  }();
  const auto found = kTable.find(name);
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace tern::jinja
