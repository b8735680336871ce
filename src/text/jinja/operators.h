// Arithmetic of template values, as Python's: whole numbers floor towards minus infinity, "/" is always a float,
// strings and lists add and repeat. Whole numbers are 64-bit; beyond that an operation raises, where Python would go
// on.
#pragma once

#include "text/jinja/ast.h"

namespace tern::jinja {

Value apply(Budget& budget, Op op, const Value& a, const Value& b);
bool holds(Budget& budget, Op comparison, const Value& a, const Value& b);
Value negate(const Value& value);

// container[begin:end:step] of a string or list; undefined for other kinds.
Value slice(Budget& budget, const Value& container, const Value& begin, const Value& end, const Value& step);

}  // namespace tern::jinja
