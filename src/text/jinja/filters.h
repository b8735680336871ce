// The filters, by what they work on; filters.cpp joins them into one table. Private to the interpreter.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja/objects.h"

namespace tern::jinja {

struct FilterRow {
  std::string_view name;
  Filter filter;
};

std::span<const FilterRow> text_filters();      // filters_text.cpp
std::span<const FilterRow> sequence_filters();  // filters_sequence.cpp
std::span<const FilterRow> order_filters();     // filters_order.cpp
std::span<const FilterRow> value_filters();     // filters_value.cpp

}  // namespace tern::jinja
