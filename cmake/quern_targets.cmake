# The library, the program and the tests. A source file is found by its place: src/<room>/*.cpp belongs to the library,
# *_test.cpp to the room's test program, src/cli to the program. Adding a file takes no edit here.

find_package(Threads REQUIRED)
if(QUERN_CROSS_TESTS_ONLY)
  include(cmake/quern_cross.cmake)
else()
  find_package(fmt REQUIRED)
  find_package(tl-expected REQUIRED)
  find_package(nlohmann_json REQUIRED)
endif()

add_library(quern_flags INTERFACE)
# The bits are specified (docs/numerics.md): no contraction, no reassociation.
target_compile_options(quern_flags INTERFACE -ffp-contract=off -fno-math-errno -Wall -Wextra -Wshadow
                       -Wnon-virtual-dtor -Woverloaded-virtual -Wno-psabi -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # gcc 12 sees overlapping copies inside std::string's operator+ where there are none (its bug 105651).
  target_compile_options(quern_flags INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # clang calls libstdc++ 12's own use of get_temporary_buffer in std::stable_sort deprecated.
  target_compile_options(quern_flags INTERFACE -Wno-deprecated-declarations)
endif()
if(QUERN_WERROR)
  target_compile_options(quern_flags INTERFACE -Werror)
endif()
if(QUERN_SANITIZE)
  target_compile_options(quern_flags INTERFACE -fsanitize=${QUERN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(quern_flags INTERFACE -fsanitize=${QUERN_SANITIZE})
  target_compile_options(quern_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)  # Asio's fences, which gcc's ignores
endif()

file(GLOB_RECURSE lib_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.cpp)
list(FILTER lib_sources EXCLUDE REGEX "_test\\.cpp$|_bench\\.cpp$|/src/(cli|server)/")
if(QUERN_CROSS_TESTS_ONLY)
  list(FILTER lib_sources INCLUDE REGEX "/src/(base|os|quant|kernels)/")
endif()

# ISA folders are sealed: their own flags, compiled only for the processor family that has them.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(FILTER lib_sources EXCLUDE REGEX "/kernels/neon(_i8mm)?/")
  # Unrolled and jammed by gcc, a tile runs three blocks side by side and spills their codes: 90 instead of 108 GMAC/s
  # (AVX2, Q4_1, 16 tokens, Zen 4).
  set(isa_flags_avx2 -mavx2 -mfma -mf16c $<$<CXX_COMPILER_ID:GNU>:-fno-loop-unroll-and-jam>
      $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-pragmas>)
  set(isa_flags_avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq
      -mprefer-vector-width=512 $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-pragmas>
      $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized$<SEMICOLON>-Wno-maybe-uninitialized>)  # in gcc 12's header (PR 105593)
  set(isa_flags_avx512bw ${isa_flags_avx512})
  set(quern_isas avx2 avx512bw avx512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  list(FILTER lib_sources EXCLUDE REGEX "/kernels/(avx2|avx512|avx512bw)/")
  set(isa_flags_neon -march=armv8.2-a+dotprod)
  set(isa_flags_neon_i8mm -march=armv8.2-a+dotprod+i8mm)
  set(quern_isas neon neon_i8mm)
else()
  list(FILTER lib_sources EXCLUDE REGEX "/kernels/(avx2|avx512|avx512bw|neon|neon_i8mm)/")
  set(quern_isas)
endif()
foreach(isa ${quern_isas})
  file(GLOB isa_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/${isa}/*.cpp)
  list(FILTER isa_sources EXCLUDE REGEX "_test\\.cpp$")
  set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "${isa_flags_${isa}}")
endforeach()

# VNNI only where it is checked for: the rest of avx512 also serves processors without it (avx512bw).
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/avx512/matmul.cpp ${CMAKE_SOURCE_DIR}/src/kernels/avx512/peak.cpp
                            PROPERTIES COMPILE_OPTIONS "${isa_flags_avx512};-mavx512vnni")

add_library(quern STATIC ${lib_sources})
target_include_directories(quern PRIVATE ${CMAKE_SOURCE_DIR}/src
                           PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
target_link_libraries(quern PRIVATE $<BUILD_INTERFACE:quern_flags> PUBLIC tl::expected fmt::fmt Threads::Threads)
target_compile_features(quern PUBLIC cxx_std_20)
if(QUERN_SANITIZE)
  # The rest, tests above all, is compiled as CMAKE_CXX_FLAGS say, without optimization: a third of the time, and it runs
  # but once. So are the rooms that mostly instantiate a JSON library.
  target_compile_options(quern PRIVATE -O1)
  set(unhurried ${lib_sources})
  list(FILTER unhurried INCLUDE REGEX "/src/(bench|chat|config|hub|tools)/")
  set_source_files_properties(${unhurried} PROPERTIES COMPILE_OPTIONS -O0)
endif()

# The libraries' headers that most files of a target read, read once. In sanitized builds alone: ccache can do nothing
# with them, and a file that forgets an include is found by the other builds.
function(quern_precompile target)
  if(QUERN_SANITIZE)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-fpch-instantiate-templates>)
    target_precompile_headers(${target} PRIVATE ${ARGN} <algorithm> <functional> <map> <memory> <mutex> <optional> <string>
                              <vector> <fmt/format.h> <nlohmann/json.hpp>)
  endif()
endfunction()
if(NOT QUERN_CROSS_TESTS_ONLY)
  include(cmake/quern_libraries.cmake)
endif()

# The server is a library of its own, so that a program that embeds the engine links no HTTP server and no metrics.
file(GLOB_RECURSE server_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/server/*.cpp)
list(FILTER server_sources EXCLUDE REGEX "_test\\.cpp$")
if(server_sources AND NOT QUERN_CROSS_TESTS_ONLY)
  add_library(quern_server STATIC ${server_sources})
  target_include_directories(quern_server PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(quern_server PRIVATE QUERN_VERSION="${PROJECT_VERSION}")
  target_link_libraries(quern_server PUBLIC quern PRIVATE quern_flags ${quern_server_libraries})
  list(PREPEND quern_cli_libraries quern_server)
  quern_precompile(quern_server)
endif()

file(GLOB_RECURSE cli_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cli/*.cpp)
list(FILTER cli_sources EXCLUDE REGEX "_test\\.cpp$")
if(cli_sources AND NOT QUERN_CROSS_TESTS_ONLY)
  add_executable(quern_cli ${cli_sources})
  set_target_properties(quern_cli PROPERTIES OUTPUT_NAME quern)
  target_include_directories(quern_cli PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(quern_cli PRIVATE quern quern_flags ${quern_cli_libraries})
  target_compile_definitions(quern_cli PRIVATE QUERN_VERSION="${PROJECT_VERSION}")
  quern_precompile(quern_cli)
endif()

if(QUERN_TESTS)
  enable_testing()
  if(NOT QUERN_CROSS_TESTS_ONLY)
    find_package(GTest REQUIRED)
  endif()
  include(GoogleTest)
  file(GLOB rooms RELATIVE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/*)
  if(QUERN_CROSS_TESTS_ONLY)
    list(FILTER rooms INCLUDE REGEX "^(base|os|quant|kernels)$")
    # Fails under qemu 7.2, not on a processor: presumably qemu runs vfork as fork, so posix_spawn misses its child's error.
    set(discover_options TEST_FILTER "-RunProcess.SaysThatThereIsNoSuchProgram")
  endif()
  foreach(room ${rooms})
    file(GLOB_RECURSE room_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/*_test.cpp)
    if(room_tests)
      add_executable(${room}_test ${room_tests})
      target_include_directories(${room}_test PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
      target_link_libraries(${room}_test PRIVATE quern quern_flags ${quern_cli_libraries} GTest::gtest GTest::gmock GTest::gtest_main)
      target_compile_definitions(${room}_test PRIVATE QUERN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
      if(room MATCHES "^(chat|engine|grammar|server|tools)$")
        quern_precompile(${room}_test <gtest/gtest.h>)
      endif()
      gtest_discover_tests(${room}_test DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES ${discover_options}
                           PROPERTIES LABELS ${room} TIMEOUT 600)
    endif()
  endforeach()
  if(NOT QUERN_CROSS_TESTS_ONLY)
    file(GLOB test_dirs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/CMakeLists.txt)
    foreach(file ${test_dirs})
      get_filename_component(dir ${file} DIRECTORY)
      add_subdirectory(${dir})
    endforeach()
  elseif(CMAKE_CROSSCOMPILING_EMULATOR MATCHES "qemu-aarch64")
    include(cmake/quern_cross_tests.cmake)
  endif()
endif()
# What `make tsan` builds: the programs whose tests have threads.
add_custom_target(thread_tests)
foreach(target os_test kv_test engine_test engine_whole_test server_test quern_cli write_tiny_model
        write_synthetic_model)
  if(TARGET ${target})
    add_dependencies(thread_tests ${target})
  endif()
endforeach()
if(QUERN_FUZZ)
  add_subdirectory(fuzz)
endif()
if(NOT QUERN_CROSS_TESTS_ONLY)
  include(cmake/quern_install.cmake)
endif()
