# How everything here is compiled, and the helpers by which folders declare libraries and programs.

option(ENGENHO_DEVELOPMENT "trust the licences signed with tests/keys" OFF)
option(ENGENHO_TESTS "build the C tests" OFF)
option(ENGENHO_FUZZ "build the libFuzzer targets" OFF)
set(ENGENHO_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_compile_definitions(_GNU_SOURCE ENGENHO_VERSION="${PROJECT_VERSION}")
add_compile_options(
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
  -Wno-format-nonliteral -Wundef -Wwrite-strings -Wpointer-arith -fno-omit-frame-pointer
  -fstack-protector-strong)
# An assert states an invariant and stays in release builds.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
if(ENGENHO_DEVELOPMENT)
  add_compile_definitions(ENGENHO_DEVELOPMENT=1)
endif()
if(ENGENHO_SANITIZE)
  add_compile_options(-fsanitize=${ENGENHO_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${ENGENHO_SANITIZE})
endif()
if(ENGENHO_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Every program lands in one folder, so that `engenho up` finds its siblings beside itself.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(ENGENHO_BIN ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})

# Our C, and only ours, is compiled with the names of common/banned.h poisoned.
function(engenho_ban_names name)
  target_compile_options(${name} PRIVATE -include ${CMAKE_SOURCE_DIR}/common/banned.h)
endfunction()

# engenho_library(NAME SOURCES... LINKS libraries...): a static library whose headers are included as "folder/x.h".
# Arrows point one way: main -> edges -> core -> common, proto. A *_core links only common and proto.
function(engenho_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_LINKS})
  engenho_ban_names(${name})
  if(name MATCHES "_core$")
    foreach(link IN LISTS arg_LINKS)
      if(NOT link MATCHES "^(common|proto)$")
        message(FATAL_ERROR "${name} is a core: it links only common and proto, not ${link}")
      endif()
    endforeach()
  endif()
endfunction()

# engenho_program(NAME SOURCES... LINKS libraries...): a program in build/<preset>/bin.
function(engenho_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  engenho_ban_names(${name})
endfunction()

# engenho_test(NAME SOURCES... LINKS libraries...): a cmocka program, run by ctest.
function(engenho_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINKS} cmocka)
  engenho_ban_names(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
