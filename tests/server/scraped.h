// The samples of a scrape of /metrics: "name{labels}" -> value, as they stand in the text.
#pragma once

#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

#include "server/http_client.h"

namespace tern::testing {

inline std::map<std::string, double> samples_of(const std::string& text) {
  std::map<std::string, double> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.rfind(' ');
    if (line[0] != '#' && space != std::string::npos) out[line.substr(0, space)] = std::atof(line.c_str() + space + 1);
  }
  return out;
}

// A new connection each time: it counts itself.
inline std::map<std::string, double> scrape(uint16_t port) { return samples_of(HttpClient(port).get("/metrics").body); }

// The name with the labels that every sample of a server of tests has, and `more`.
inline std::string sample(const std::string& name, const std::string& more = "") {
  return "tern:" + name + "{engine=\"0\",model_name=\"tiny\"" + (more.empty() ? "" : "," + more) + "}";
}

}  // namespace tern::testing
