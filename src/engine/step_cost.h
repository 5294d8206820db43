#pragma once
#include <cstddef>
namespace quern {
class StepCost {
 public:
  void record(size_t, size_t, double) {}
  size_t prompt_budget(size_t, double, size_t max) const { return max; }
};
}
