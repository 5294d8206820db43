// Work whose instructions are counted: named calls of the hot paths with fixed inputs, small enough for an emulator.
// work.cpp runs them for tools/check_instructions.py (callgrind) and benchmarks/arm_instructions.py (qemu).
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace quern {

struct Work {
  std::string name;
  double units = 0;                                  // of work in one call: multiply-adds, elements, bytes
  std::function<std::function<void()>()> prepare{};  // builds the inputs; the call that it returns owns them
};

// The kernels of every instruction set that this processor (or its emulator) runs.
std::vector<Work> kernel_work();
// Sampling and tokenizing; not in the build for another processor.
std::vector<Work> library_work();

}  // namespace quern
