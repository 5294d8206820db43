// Tiles: how a matrix product is cut into units of work, found by measurement and kept by machine.
//
// Each shape of product tries every candidate a few times on the products that the model asks for anyway, then keeps
// the fastest. Candidates differ by a tenth at most for most shapes and by a third for some (a feed-forward of 18,944
// columns and 512 tokens: 303 to 342 GMAC/s), and no rule of thumb that was tried found the best one. The choice never
// changes a bit of the result. What was found is kept in a file for the next process.
//
// Used by one thread at a time, the backend's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.h"

namespace quern {

// A unit of work.
struct Tile {
  uint32_t groups = 4;  // of 16 rows; a multiple of 4, since float kernels take four at a time
  uint32_t tokens = 0;  // read against those rows before the next ones are, a multiple of 16; 0: all
  bool operator==(const Tile&) const = default;
};

struct ProductShape {
  TensorType type;
  size_t groups, cols, n_tokens;
  unsigned threads;
};

// The name under which a shape is kept; token counts up to the same power of two share one.
std::string tile_key(const ProductShape& shape);
// Without measurement: about eight units a thread, which keep threads of unequal speed busy to the end.
Tile default_tile(const ProductShape& shape);
// What is worth trying, the default first.
std::vector<Tile> tile_candidates(const ProductShape& shape);

// The file: JSON, {"machine": {"key": [groups, tokens]}}. What is not well-formed, or senseless, is left out.
using KeptTiles = std::map<std::string, Tile, std::less<>>;
KeptTiles parse_tiles(std::string_view text, const std::string& machine);

class Tiles {
 public:
  // `path` empty: nothing is read or kept. `machine` names the processor and the instruction set.
  Tiles(std::string path, std::string machine);
  ~Tiles();  // writes what is new; a file that cannot be written costs the next process its trials, no more
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  struct Entry {
    std::vector<Tile> candidates;  // one: settled
    std::vector<double> best;      // seconds a token, of each candidate
    size_t trials = 0;
    [[nodiscard]] bool settled() const { return candidates.size() == 1; }
    // The tile for the next product.
    [[nodiscard]] Tile next() const { return candidates[trials % candidates.size()]; }
  };
  // Of the shape, made at first use; stays valid.
  Entry& entry(const ProductShape& shape);
  // How long the product with entry.next() took.
  void report(Entry& entry, double seconds_a_token);

 private:
  const std::string path_, machine_;
  KeptTiles kept_;  // of the file, when this process began
  std::map<uint64_t, std::pair<std::string, Entry>> entries_;
  bool changed_ = false;
};

}  // namespace quern
