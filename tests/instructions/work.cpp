// work: runs what work.h lists.
//
//   work --list               a line for each: units, a tab, name
//   work --all [PREFIX...]    each twice, the second time inside of quern_counted_work, so that caches of the process
//   are
//                             warm and callgrind can tell the calls apart; prints the lines of --list in that order.
//                             With prefixes, only names that begin with one.
//   work NAME CALLS           one of them, CALLS times: counts of n and 2n calls differ by n calls
#include "tests/instructions/work.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

// The names callgrind looks for: not inlined, and its call is not the last thing it does.
extern "C" [[gnu::noinline]] void quern_counted_work(const std::function<void()>& call) {
  call();
  asm volatile("" ::: "memory");
}

namespace {

void print(const quern::Work& work) {
  std::printf("%.0f\t%s\n", work.units, work.name.c_str());
}

bool wanted(const quern::Work& work, int n, char** prefixes) {
  for (int i = 0; i < n; ++i) {
    if (work.name.starts_with(prefixes[i])) return true;
  }
  return n == 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<quern::Work> all = quern::kernel_work();
#ifdef QUERN_LIBRARY_WORK
  for (quern::Work& work : quern::library_work()) all.push_back(std::move(work));
#endif
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--list" || mode == "--all") {
    for (const quern::Work& work : all) {
      if (!wanted(work, argc - 2, argv + 2)) continue;
      print(work);
      if (mode == "--list") continue;
      const auto call = work.prepare();
      call();
      quern_counted_work(call);
    }
    return 0;
  }
  for (const quern::Work& work : all) {
    if (argc != 3 || mode != work.name) continue;
    const auto call = work.prepare();
    for (long i = std::strtol(argv[2], nullptr, 10); i > 0; --i) quern_counted_work(call);
    return 0;
  }
  std::fprintf(stderr, "usage: work --list | --all [PREFIX...] | NAME CALLS\n");
  return 2;
}
