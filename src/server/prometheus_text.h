// Metrics as Prometheus reads them: text format 0.0.4. One scrape, one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/histogram.h"

namespace tern {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

class PrometheusText {
 public:
  // `labels` go on every sample of families that begin without `bare`.
  explicit PrometheusText(MetricLabels labels) : labels_(std::move(labels)) {}

  void begin_family(std::string name, std::string_view type, std::string_view help, bool bare);
  void sample(double value, const MetricLabels& labels = {}) { line("", value, labels); }
  void histogram(const Histogram& histogram);
  // The same from counts up to each bound and above the one before.
  void histogram(std::span<const double> bounds, std::span<const int64_t> counts, double sum);
  std::string take() { return std::move(out_); }

 private:
  void line(std::string_view suffix, double value, const MetricLabels& labels);

  const MetricLabels labels_;
  std::string out_, name_;
  bool bare_ = false;
};

}  // namespace tern
