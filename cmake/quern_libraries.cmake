# Third-party libraries by the room that uses them; docs/dependencies.md has a row with the reason for each.
target_link_libraries(quern PRIVATE nlohmann_json::nlohmann_json)
set(quern_cli_libraries nlohmann_json::nlohmann_json)
