# The libraries of the lowest rooms for a processor whose Debian packages are not installed: header-only, and GoogleTest
# from its source package. The headers are linked into a folder of their own, since the host's /usr/include must not be
# searched by a cross compiler.
set(cross_headers ${CMAKE_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${cross_headers})
foreach(header fmt tl)
  if(NOT EXISTS /usr/include/${header})
    message(FATAL_ERROR "/usr/include/${header} is not there: run tools/bootstrap.sh build neon")
  endif()
  file(CREATE_LINK /usr/include/${header} ${cross_headers}/${header} SYMBOLIC)
endforeach()

add_library(fmt::fmt INTERFACE IMPORTED)
target_include_directories(fmt::fmt INTERFACE ${cross_headers})
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)
add_library(tl::expected INTERFACE IMPORTED)
target_include_directories(tl::expected INTERFACE ${cross_headers})

set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
add_subdirectory(/usr/src/googletest ${CMAKE_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
foreach(library gtest gmock gtest_main)
  target_compile_options(${library} PRIVATE -w)
  if(NOT TARGET GTest::${library})
    add_library(GTest::${library} ALIAS ${library})
  endif()
endforeach()
