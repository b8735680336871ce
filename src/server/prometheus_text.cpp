#include "server/prometheus_text.h"

#include <fmt/core.h>

#include <cmath>

namespace tern {
namespace {

std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (std::isnan(value)) return "NaN";
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{}", value);
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

void PrometheusText::begin_family(std::string name, std::string_view type, std::string_view help, bool bare) {
  name_ = std::move(name);
  bare_ = bare;
  out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name_, escaped(help, false), name_, type);
}

void PrometheusText::line(std::string_view suffix, double value, const MetricLabels& labels) {
  out_.append(name_).append(suffix);
  char before = '{';
  const auto write = [&](const MetricLabels& some) {
    for (const auto& [name, text] : some) {
      out_ += fmt::format("{}{}=\"{}\"", before, name, escaped(text, true));
      before = ',';
    }
  };
  if (!bare_) write(labels_);
  write(labels);
  if (before == ',') out_.push_back('}');
  out_ += fmt::format(" {}\n", number(value));
}

void PrometheusText::histogram(const Histogram& histogram) {
  this->histogram(histogram.bounds(), histogram.counts(), histogram.sum());
}

void PrometheusText::histogram(std::span<const double> bounds, std::span<const int64_t> counts, double sum) {
  int64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
    line("_bucket", static_cast<double>(total), {{"le", bound}});
  }
  line("_sum", sum, {});
  line("_count", static_cast<double>(total), {});
}

}  // namespace tern
