# Installation, so that another project says find_package(quern) and links quern::quern. The package's file finds what
# the static library needs: worked out from its links, so that a new library in quern_libraries.cmake takes no edit here
# unless its package is new to the table.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Namespace of imported targets -> package that defines them.
set(package_of_fmt fmt)
set(package_of_tl tl-expected)
set(package_of_Threads Threads)
set(package_of_nlohmann_json nlohmann_json)
set(package_of_CURL CURL)
set(package_of_OpenSSL OpenSSL)
set(package_of_spdlog spdlog)
set(package_of_ZLIB ZLIB)
set(package_of_yaml-cpp yaml-cpp)  # a target without a namespace

get_target_property(links quern INTERFACE_LINK_LIBRARIES)
set(packages)
set(QUERN_FIND_DEPENDENCIES "")
foreach(link ${links})
  string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" link "${link}")
  if(link MATCHES "^PkgConfig::(.+)$")
    set(prefix ${CMAKE_MATCH_1})
    if(NOT ${prefix}_MODULE_NAME)
      message(FATAL_ERROR "${link}: cmake/quern_install.cmake cannot tell which pkg-config module that is")
    endif()
    string(APPEND QUERN_FIND_DEPENDENCIES "find_dependency(PkgConfig)\n"
                  "pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET ${${prefix}_MODULE_NAME})\n")
  elseif(link MATCHES "^([A-Za-z0-9_]+)::")
    if(NOT package_of_${CMAKE_MATCH_1})
      message(FATAL_ERROR "${link}: give its package a row in cmake/quern_install.cmake")
    endif()
    list(APPEND packages ${package_of_${CMAKE_MATCH_1}})
  elseif(package_of_${link})
    list(APPEND packages ${package_of_${link}})
  endif()
endforeach()
list(REMOVE_DUPLICATES packages)
foreach(package ${packages})
  string(APPEND QUERN_FIND_DEPENDENCIES "find_dependency(${package})\n")
endforeach()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/quern)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/quernConfig.cmake.in ${CMAKE_BINARY_DIR}/package/quernConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/quernConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS quern EXPORT quernTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET quern_cli)
  install(TARGETS quern_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/quern DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT quernTargets NAMESPACE quern:: DESTINATION ${package_folder})
install(FILES ${CMAKE_BINARY_DIR}/package/quernConfig.cmake ${CMAKE_BINARY_DIR}/package/quernConfigVersion.cmake
        DESTINATION ${package_folder})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/NOTICE ${CMAKE_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
