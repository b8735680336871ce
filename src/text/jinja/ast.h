// What a compiled template is: expressions and statements, immutable and shared by all renderings.
//
// One plain struct for each of the two, with a kind; children in lists. Chains of the same operator are one node with
// many children, so that a long sum is not a deep tree. Invariant: no tree is deeper than Limits::kTemplateEvalDepth.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace tern::jinja {

enum class ExprKind : uint8_t {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,        // children: key, value, key, value, ...
  kAttribute,   // child.name
  kItem,        // child[child]
  kSlice,       // the key of an item: begin, end, step; each may be null
  kCall,        // child(...)
  kFilter,      // child | name(...)
  kTest,        // child is name(...)
  kArithmetic,  // child op child op child, from the left
  kConcat,      // child ~ child ~ ...
  kCompare,     // child op child op child, as Python chains them
  kAnd,
  kOr,
  kNot,
  kNegative,
  kPositive,
  kCondition,  // child if child else child (null: undefined)
  kCaptured,   // what the block around has rendered: the input of a filter block
};

enum class Op : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind;
  int32_t line = 0;
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;  // of a call, filter or test: the input first, then the positional arguments
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, double_star;  // *arguments, **arguments
  std::vector<Op> ops;
  uint32_t depth = 1;
};

// What `set`, `for` and `with` assign to: a name, a namespace's attribute, or several.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> parts;
};

enum class NodeKind : uint8_t {
  kData,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,
  kBreak,
  kContinue,
};

struct Node;
using Body = std::vector<std::unique_ptr<Node>>;

struct Parameter {
  std::string name;
  ExprPtr fallback;  // may be null
};

// A macro, or the body of a call block.
struct MacroDef {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Node {
  NodeKind kind;
  int32_t line = 0;
  MarkedText data;  // kData
  std::vector<ExprPtr>
      exprs;  // kOutput, kSet: one; kIf: the conditions; kFor: what, and the filter or null; kWith: values
  std::vector<Target> targets;  // kSet, kSetBlock, kFor: one; kWith: one for each value
  std::vector<Body> bodies;     // kIf: one for each condition, then the else; kFor: body, else; others: one
  bool recursive = false;       // kFor
  MacroDef macro;               // kMacro, kCallBlock
};

}  // namespace tern::jinja
