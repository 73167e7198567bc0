# External libraries, one imported target each, so that a library names what it links by that name.
# librdkafka and hiredis come from .deps/prefix when `make deps` built them there, else from the system.

set(ENGENHO_DEPS $ENV{ENGENHO_DEPS})
if(NOT ENGENHO_DEPS)
  set(ENGENHO_DEPS ${CMAKE_SOURCE_DIR}/.deps)
endif()
set(ENV{PKG_CONFIG_PATH} ${ENGENHO_DEPS}/prefix/lib/pkgconfig)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka>=2.14)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis>=1.2 hiredis_ssl>=1.2)
pkg_check_modules(protobuf_c REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(libevent REQUIRED IMPORTED_TARGET libevent>=2.1 libevent_openssl>=2.1)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(libarchive REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(glib REQUIRED IMPORTED_TARGET glib-2.0)
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(jemalloc REQUIRED IMPORTED_TARGET jemalloc)

# Debian's own Python, whatever python3 comes first in PATH.
set(ENV{PKG_CONFIG_PATH} /usr/lib/${CMAKE_C_LIBRARY_ARCHITECTURE}/pkgconfig)
pkg_check_modules(python REQUIRED IMPORTED_TARGET python3-embed>=3.11)
set(ENV{PKG_CONFIG_PATH} ${ENGENHO_DEPS}/prefix/lib/pkgconfig)

set(CMAKE_BUILD_RPATH ${ENGENHO_DEPS}/prefix/lib)
