// Texts that tools give and take: made safe to show and to hand to a model. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace quern::toolbox {

// At most `limit` bytes of it, cut at a character, invalid UTF-8 and NUL replaced by U+FFFD. `more` bytes followed that
// were not kept, 0 for none; the text then ends in a line that says how much is missing, and that line is not counted.
std::string model_text(std::string_view bytes, size_t limit, uint64_t more);

// On one line, as a shell would take it: 'it'\''s', with $'...' and escapes where there are control characters, invalid
// UTF-8, or characters that reorder or hide text. What is shown cannot look like something else.
std::string shell_quoted(std::string_view text);

// For a terminal: line ends and tabs stay, other control characters are escaped as above.
std::string printable_lines(std::string_view text);

}  // namespace quern::toolbox
