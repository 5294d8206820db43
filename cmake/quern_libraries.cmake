# Third-party libraries by the room that uses them; docs/dependencies.md has a row with the reason for each.
target_link_libraries(quern PRIVATE nlohmann_json::nlohmann_json)
set(quern_cli_libraries nlohmann_json::nlohmann_json)
# hub: downloads and their SHA-256.
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
target_link_libraries(quern PRIVATE CURL::libcurl OpenSSL::Crypto)
# text: character classes, NFD; Debian 12 ships no CMake package for it.
find_library(QUERN_UTF8PROC utf8proc REQUIRED)
target_link_libraries(quern PRIVATE ${QUERN_UTF8PROC})
# backend: hashes of models and packed weights; its CMake package is not in Debian 12.
find_library(QUERN_XXHASH xxhash REQUIRED)
target_link_libraries(quern PRIVATE ${QUERN_XXHASH})
# cli: line editing and history of the chat; no CMake package either.
find_library(QUERN_LIBEDIT edit REQUIRED)
list(APPEND quern_cli_libraries ${QUERN_LIBEDIT})
# config: the YAML of configuration files, as events.
find_package(yaml-cpp REQUIRED)
target_link_libraries(quern PRIVATE yaml-cpp)
# server: HTTP, WebSocket and TLS by Beast and Asio (headers only), the metrics.
find_package(Boost 1.81 REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
set(quern_server_libraries Boost::headers OpenSSL::SSL OpenSSL::Crypto prometheus-cpp::core
                           nlohmann_json::nlohmann_json)
