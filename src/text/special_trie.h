// SpecialTrie: finds special tokens in text, leftmost first and longest there, in one pass.
//
// A byte trie with first-child and next-sibling links: the time is linear in the text times the depth that a match
// reaches, whatever the number of specials (gemma has 6,400). Built by one thread, then read by any number.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace quern {

class SpecialTrie {
 public:
  SpecialTrie() { roots_.fill(kNone); }

  // `always`: found even where specials are not parsed (user-defined tokens). Empty texts are ignored.
  void insert(std::string_view text, int32_t id, bool always) {
    if (text.empty()) return;
    uint32_t* link = &roots_[static_cast<uint8_t>(text[0])];
    for (size_t i = 0;; ++i) {
      while (*link != kNone && nodes_[*link].byte != text[i]) link = &nodes_[*link].sibling;
      if (*link == kNone) {
        *link = static_cast<uint32_t>(nodes_.size());
        const uint32_t index = *link;  // push_back moves what link points into
        nodes_.push_back({text[i], false, kNoToken, kNone, kNone});
        link = nullptr;
        if (i + 1 == text.size()) return set(index, id, always);
        link = &nodes_[index].child;
        continue;
      }
      if (i + 1 == text.size()) return set(*link, id, always);
      link = &nodes_[*link].child;
    }
  }

  struct Match {
    size_t begin = std::string_view::npos;  // npos: none
    size_t end = 0;
    int32_t id = kNoToken;
  };

  // The first match at or after `pos`; with `parse_special` false only those inserted as `always`.
  [[nodiscard]] Match find(std::string_view text, size_t pos, bool parse_special) const {
    if (nodes_.empty()) return {};
    for (; pos < text.size(); ++pos) {
      Match best;
      uint32_t node = roots_[static_cast<uint8_t>(text[pos])];
      for (size_t i = pos; node != kNone;) {
        const Node& n = nodes_[node];
        if (n.byte != text[i]) {
          node = n.sibling;
          continue;
        }
        ++i;
        if (n.id != kNoToken && (parse_special || n.always)) best = {pos, i, n.id};
        if (i == text.size()) break;
        node = n.child;
      }
      if (best.id != kNoToken) return best;
    }
    return {};
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    char byte;
    bool always;
    int32_t id;
    uint32_t child, sibling;
  };

  // Of equal texts the first stays.
  void set(uint32_t index, int32_t id, bool always) {
    Node& node = nodes_[index];
    if (node.id == kNoToken) {
      node.id = id;
      node.always = always;
    }
  }

  std::array<uint32_t, 256> roots_;
  std::vector<Node> nodes_;
};

}  // namespace quern
