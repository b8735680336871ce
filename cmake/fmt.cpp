// fmt's code, once. The distribution ships fmt as a shared library or as headers that every file would compile anew (3.4 s
// each); this file compiles those headers for all others, which see declarations only.
#define FMT_HEADER_ONLY 1
#include <fmt/format.h>

// What the other files call has to be emitted here: an inline function is, where its address is taken.
[[gnu::used]] static const void* const kEmitted[] = {
    reinterpret_cast<const void*>(static_cast<std::string (*)(fmt::string_view, fmt::format_args)>(&fmt::vformat)),
    reinterpret_cast<const void*>(static_cast<void (*)(std::FILE*, fmt::string_view, fmt::format_args)>(&fmt::vprint)),
    reinterpret_cast<const void*>(static_cast<void (*)(fmt::string_view, fmt::format_args)>(&fmt::vprint)),
    reinterpret_cast<const void*>(&fmt::detail::throw_format_error),
    reinterpret_cast<const void*>(&fmt::detail::assert_fail),
};
