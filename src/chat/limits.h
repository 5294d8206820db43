// What a template may use up. Each limit is a refusal (kResource) with its name, never a crash or a hang.
#pragma once

#include <cstddef>

namespace quern {

struct TemplateLimits {
  size_t max_source_bytes = size_t{1} << 20;    // a template's text; the longest in use has 20 KB
  size_t max_nodes = 200'000;                   // of its syntax tree
  size_t max_nesting = 150;                     // of expressions and statements in the text
  size_t max_depth = 1500;                      // of evaluation: macro calls, recursive loops, nested values
  size_t max_steps = 50'000'000;                // evaluated nodes, loop rounds and touched blocks of memory; seconds
  size_t max_output_bytes = size_t{64} << 20;   // of the rendered text
  size_t max_memory_bytes = size_t{256} << 20;  // of all strings, lists and dicts that one render makes
  size_t max_range = 100'000;                   // items of range(), Jinja2's own limit
};

}  // namespace quern
