# Libraries from the distribution, header-only or static where it ships them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(PCRE2 REQUIRED libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED libutf8proc)

add_library(tern_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt.cpp)

add_library(tern_pcre2 INTERFACE)
find_library(TERN_PCRE2_STATIC NAMES libpcre2-8.a)
target_link_libraries(tern_pcre2 INTERFACE ${TERN_PCRE2_STATIC})
target_compile_definitions(tern_pcre2 INTERFACE PCRE2_CODE_UNIT_WIDTH=8)

add_library(tern_utf8proc INTERFACE)
find_library(TERN_UTF8PROC_STATIC NAMES libutf8proc.a)
target_link_libraries(tern_utf8proc INTERFACE ${TERN_UTF8PROC_STATIC})
target_compile_definitions(tern_utf8proc INTERFACE UTF8PROC_STATIC)

find_path(TERN_BOOST_INCLUDE boost/beast/core.hpp REQUIRED)
add_library(tern_beast INTERFACE)
target_include_directories(tern_beast SYSTEM INTERFACE ${TERN_BOOST_INCLUDE})
target_link_libraries(tern_beast INTERFACE Threads::Threads)

# Line editing in `tern chat`, with what libedit itself needs.
add_library(tern_edit INTERFACE)
find_library(TERN_EDIT_STATIC NAMES libedit.a)
find_library(TERN_BSD_STATIC NAMES libbsd.a)
find_library(TERN_MD_STATIC NAMES libmd.a)
find_library(TERN_TINFO_STATIC NAMES libtinfo.a)
if(TERN_EDIT_STATIC AND TERN_BSD_STATIC AND TERN_MD_STATIC AND TERN_TINFO_STATIC)
  target_link_libraries(tern_edit INTERFACE ${TERN_EDIT_STATIC} ${TERN_BSD_STATIC} ${TERN_MD_STATIC} ${TERN_TINFO_STATIC})
else()
  find_library(TERN_EDIT NAMES edit REQUIRED)
  target_link_libraries(tern_edit INTERFACE ${TERN_EDIT})
endif()

add_library(tern_crypto INTERFACE)
find_library(TERN_CRYPTO_STATIC NAMES libcrypto.a REQUIRED)
target_link_libraries(tern_crypto INTERFACE ${TERN_CRYPTO_STATIC} Threads::Threads ${CMAKE_DL_LIBS})

find_library(TERN_SSL_STATIC NAMES libssl.a REQUIRED)
add_library(tern_tls INTERFACE)
target_link_libraries(tern_tls INTERFACE ${TERN_SSL_STATIC} tern_crypto)
