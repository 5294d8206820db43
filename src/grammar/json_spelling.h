// How the characters of a JSON text are written in a grammar. Pure functions; any thread, a builder per thread.
//
// Beyond U+3FFFF a character may also be an escape: vocabularies of bytes lack those that begin it (F1 and F2 in
// falcon's and SmolLM2's), since no character there has a meaning yet. All others they can write, and one way to write
// a text leaves less to the model.
#pragma once

#include <cstdint>
#include <string_view>

#include "grammar/ir.h"

namespace quern::grammar {

inline constexpr uint32_t kFirstRareCharacter = 0x40000;

// One that needs no escape.
Symbol json_character(uint32_t cp, IrBuilder& to);
// JSON in UTF-8; what is not UTF-8 is written as it is.
Symbol json_literal(std::string_view json, IrBuilder& to);

}  // namespace quern::grammar
