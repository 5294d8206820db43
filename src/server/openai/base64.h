// Base64 of the standard alphabet, with padding. Source document: RFC 4648, section 4. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace quern::server {

std::string base64(std::span<const uint8_t> bytes);

// Of the floats' bytes, little-endian.
std::string base64_floats(std::span<const float> values);

}  // namespace quern::server
