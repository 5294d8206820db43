// Profile: where the time of an engine's forwards went. What Engine::take_profile() returns; a value, no sharing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace quern {

// One operation in one layer, all its calls together. Bytes and multiply-adds follow from the operation's arguments:
// each operand counted once, however often it was really read.
struct ProfileRow {
  std::string op;               // "attn.qkv", "rope", "sampling"
  std::optional<size_t> layer;  // none for what is outside the layers
  size_t calls = 0;             // 0 for what is left when all that was timed is subtracted
  double seconds = 0;
  double memory_bytes = 0;  // weights, keys and values: they come from memory where no cache holds them
  double cache_bytes = 0;   // activations and vectors, which go from one operation to the next
  double int_macs = 0;      // multiply-adds of products with quantized weights; fine ones count twice (numerics.md)
  double float_macs = 0;    // of products with float weights, and of attention
};

struct ProfilePhase {
  size_t steps = 0;   // forwards
  size_t tokens = 0;  // in them, of all sequences
  double seconds = 0;
  std::vector<ProfileRow> rows;  // their seconds add up to `seconds`
};

// A step in which every sequence has one token is a decode step; a step with a longer piece of any prompt is a prompt
// step, also where other sequences decode in it.
struct Profile {
  ProfilePhase prompt, decode;
};

// The row of a step's time that no operation and no other row took: scheduling, page tables, RoPE angles, calls, and
// the profiler itself.
inline constexpr const char* kOutsideTheBackend = "outside the backend";

}  // namespace quern
