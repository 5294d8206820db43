// quern bench: speed of a model, or of the kernels, beside the machine's limits.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/kernel_speed.h"
#include "bench/machine.h"
#include "bench/model_speed.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/interrupt.h"
#include "cli/profile_text.h"
#include "cli/progress.h"
#include "os/terminal.h"
#include "os/topology.h"

namespace quern::cli {

namespace {

struct BenchOptions {
  ModelOptions model;
  BenchPlan plan{.n_prompt = {512}, .n_gen = {128}, .depths = {0}, .batches = {1}, .threads = {}, .repeats = 5};
  bool fresh_limits = false;
  bool allow_debug = false;
  bool json = false;

  std::vector<Field> fields() {
    std::vector<Field> list = {
        {"MODEL", &model.model, "A GGUF file, a name from quern list, or the word kernels", {.required = true}},
        {"-p,--n-prompt", &plan.n_prompt, "Prompt lengths; 0 for none", {.max = 1 << 28}},
        {"-n,--n-gen", &plan.n_gen, "Tokens to generate; 0 for none", {.max = 1 << 28}},
        {"-d,--depth", &plan.depths, "Tokens that are there before", {.max = 1 << 28}},
        {"-b,--sequences", &plan.batches, "Sequences side by side", {.min = 1, .max = 1024}},
        {"-t,--threads",
         &plan.threads,
         "Threads; where not given, physical cores within the quota",
         {.min = 1, .max = 1024}},
        {"-r,--repeats", &plan.repeats, "Runs of each row after one to warm up", {.min = 1, .max = 10000}},
        {"--batch", &model.n_batch, "Most tokens in one pass over the weights", {.min = 1, .max = 1 << 16}},
        {"--fresh", &fresh_limits, "Forget the greatest limits seen on this machine so far"},
        {"--limits-now", &plan.limits_now, "Measure the limits before each row and keep none"},
        {"--allow-debug", &allow_debug, "Go on in a build that is not optimized"},
        {"--json", &json, "Print one JSON object: machine and results"}};
    model.add_loading(list);
    model.add_profile(list);
    return list;
  }
};

constexpr std::string_view kExamples =
    "  quern bench default\n"
    "  quern bench default -p 512 -n 128 -d 0,4096 -b 1,8 -t 1,2 -r 5 --json\n"
    "  quern bench kernels --isa avx2\n"
    "\nA limit is the measured read bandwidth over the bytes of a token (generating) or the measured peak of integer\n"
    "multiply-adds over those of a token (prompts). A model that the last cache holds in part may exceed the first.\n"
    "Limits are measured each time and the greatest ones kept in the cache folder, in limits.json; on a machine "
    "shared\n"
    "with others they move, and --limits-now takes for each row those measured just before it.\n"
    "A bar is the share of the limit: 20 signs are all of it, > says that there is more.\n";

LimitsFrom limits_from(const BenchOptions& options) {
  if (options.plan.limits_now) return LimitsFrom::kNow;
  return options.fresh_limits ? LimitsFrom::kFresh : LimitsFrom::kGreater;
}

nlohmann::json limits_json(const MachineLimits& limits) {
  return {{"threads", limits.threads},
          {"read_bytes_per_s", limits.read_bytes_per_s},
          {"int_macs_per_s", limits.int_macs_per_s},
          {"float_macs_per_s", limits.float_macs_per_s}};
}

nlohmann::json machine_json(const std::string& isa, const std::vector<MachineLimits>& limits) {
  const Machine machine = read_machine();
  const Build build = this_build();
  auto list = nlohmann::json::array();
  for (const MachineLimits& l : limits) list.push_back(limits_json(l));
  return {{"cpu", machine.cpu},
          {"processors", machine.processors},
          {"cores", machine.cores},
          {"quota_cores", machine.quota > 0 ? nlohmann::json(machine.quota) : nlohmann::json()},
          {"last_cache_bytes", machine.last_cache_bytes},
          {"memory_bytes", machine.memory_bytes},
          {"compiler", build.compiler},
          {"optimized", build.optimized},
          {"version", QUERN_VERSION},
          {"isa", isa},
          {"limits", std::move(list)}};
}

void print_machine(const Context& context, const std::string& isa, const std::vector<MachineLimits>& limits) {
  const Machine machine = read_machine();
  context.print(fmt::format("machine  {}, {} cores, {} MB of last cache, {:.1f} GB of memory\n", machine.cpu,
                            machine.cores, machine.last_cache_bytes >> 20,
                            static_cast<double>(machine.memory_bytes) / 1e9));
  if (machine.quota > 0) context.print(fmt::format("         limited to {:.2f} cores' time\n", machine.quota));
  context.print(fmt::format("build    quern {}, {}{}, {} kernels\n", QUERN_VERSION, this_build().compiler,
                            this_build().optimized ? "" : ", NOT OPTIMIZED", isa));
  for (const MachineLimits& l : limits) {
    context.print(fmt::format("limits   {} {}: reads {:.1f} GB/s, {:.0f} integer and {:.0f} float GOP/s\n", l.threads,
                              l.threads == 1 ? "thread" : "threads", l.read_bytes_per_s / 1e9,
                              2 * l.int_macs_per_s / 1e9, 2 * l.float_macs_per_s / 1e9));
  }
}

nlohmann::json to_json(const BenchRow& row) {
  return {{"n_prompt", row.n_prompt},
          {"n_gen", row.n_gen},
          {"depth", row.depth},
          {"batch", row.batch},
          {"threads", row.limits.threads},
          {"tokens_per_second", row.tokens_per_second},
          {"stddev", row.stddev},
          {"limit_tps", row.limit_tps},
          {"limit_share", row.limit_share()},
          {"read_bytes_per_s", row.limits.read_bytes_per_s},
          {"int_macs_per_s", row.limits.int_macs_per_s}};
}

// What is left of a line after the figures of to_text, on a terminal; nothing where that is too little to tell lengths.
std::string share_bar(double share) {
  constexpr int kFigures = 81, kMin = 8, kAll = 20;
  const int room = is_terminal(Stream::kOut) ? std::min(kAll, terminal_width(Stream::kOut) - kFigures - 1) : kAll;
  if (room < kMin || !(share >= 0)) return "";
  if (share > 1) return "  " + std::string(room - 1, '#') + ">";
  return "  " + std::string(static_cast<size_t>(std::lround(share * room)), '#');
}

std::string to_text(const BenchRow& row) {
  return fmt::format("{:<8} {:>6} {:>7} {:>6} {:>8} {:>10.2f} {:>8.2f} {:>10.1f} {:>6.1f} %{}\n",
                     row.n_gen > 0 ? "generate" : "prompt", row.n_gen + row.n_prompt, row.depth, row.batch,
                     row.limits.threads, row.tokens_per_second, row.stddev, row.limit_tps, 100 * row.limit_share(),
                     share_bar(row.limit_share()));
}

// Under its row, or into its object.
void add_profile(const Context& context, const BenchOptions& options, const BenchRow& row, nlohmann::json& json) {
  const bool layers = options.model.profile == "layers";
  json["profile"] = profile_json(row.profile, row.limits, row.limits, layers);
  if (!options.json) context.print(profile_text(row.profile, row.limits, row.limits, layers) + "\n");
}

Result<int> bench_model_command(const Context& context, BenchOptions& options) {
  BenchPlan& plan = options.plan;
  if (plan.threads.empty()) plan.threads = {default_threads().threads};
  options.model.n_threads = *std::max_element(plan.threads.begin(), plan.threads.end());
  const size_t n_parallel = *std::max_element(plan.batches.begin(), plan.batches.end());
  QUERN_TRY(const auto engine, load_engine(options.model, n_parallel));
  QUERN_TRY(const std::string hash, logits_hash(*engine));
  std::vector<MachineLimits> limits;
  for (const uint32_t threads : plan.threads) {
    QUERN_TRY(limits.emplace_back(), machine_limits(engine->info().isa, threads, limits_from(options)));
  }
  const EngineInfo& info = engine->info();
  if (!options.json) {
    print_machine(context, info.isa, limits);
    context.print(fmt::format("model    {}, {}, {:.1f} MB packed, logits {}\n\n", options.model.model,
                              info.architecture, static_cast<double>(info.weight_bytes) / 1e6, hash));
    context.print("         tokens   depth  batch  threads      tok/s   stddev      limit    share\n");
    std::fflush(stdout);
  }
  InterruptScope interrupt;
  ProgressBar bar("runs");
  auto results = nlohmann::json::array();
  const bool profiled = !options.model.profile.empty();
  const BenchMonitor monitor{.row =
                                 [&](const BenchRow& row) {
                                   bar.clear();
                                   results.push_back(to_json(row));
                                   if (!options.json) context.print(to_text(row));
                                   if (profiled) add_profile(context, options, row, results.back());
                                   std::fflush(stdout);
                                 },
                             .progress = [&](size_t done, size_t total) { bar.update("bench", done, total); },
                             .cancelled = [] { return InterruptScope::interrupted(); }};
  QUERN_CHECK_OK(bench_model(*engine, plan, monitor));
  if (options.json) {
    context.print_json({{"machine", machine_json(info.isa, limits)},
                        {"model",
                         {{"name", options.model.model},
                          {"architecture", info.architecture},
                          {"weight_bytes", info.weight_bytes},
                          {"kv_bytes_per_token", info.kv_bytes_per_token},
                          {"logits_hash", hash}}},
                        {"results", std::move(results)}});
  }
  return kExitOk;
}

Result<int> bench_kernels_command(const Context& context, const BenchOptions& options) {
  QUERN_TRY(const KernelTable* kernels, find_kernels(options.model.isa));
  QUERN_TRY(const MachineLimits limits, machine_limits(kernels->isa, 1, limits_from(options)));
  if (!options.json) {
    print_machine(context, kernels->isa, {limits});
    context.print("\nkernel          format    rows     GB/s    GOP/s   share of the limit\n");
    std::fflush(stdout);
  }
  InterruptScope interrupt;
  auto results = nlohmann::json::array();
  QUERN_CHECK_OK(bench_kernels(*kernels, [&](const KernelRow& row) {
    const double share = row.share(limits), gb = row.bytes_per_s / 1e9, gop = 2 * row.macs_per_s / 1e9;
    if (options.json) {
      results.push_back({{"kernel", row.kernel},
                         {"format", row.format.empty() ? nlohmann::json() : nlohmann::json(row.format)},
                         {"rows", row.rows},
                         {"gb_per_s", gb},
                         {"gop_per_s", gop},
                         {"bound", bound_name(row.bound)},
                         {"limit_share", share > 0 ? nlohmann::json(share) : nlohmann::json()}});
    } else {
      const std::string beside = share > 0 ? fmt::format("{:>5.1f} % ({})", 100 * share, bound_name(row.bound)) : "-";
      context.print(fmt::format("{:<15} {:<8} {:>5} {:>8.2f} {:>8.1f}   {}\n", row.kernel, row.format, row.rows, gb,
                                gop, beside));
      std::fflush(stdout);
    }
    return !InterruptScope::interrupted();
  }));
  if (InterruptScope::interrupted()) return fail(ErrorCode::kCancelled, "stopped");
  if (options.json) {
    context.print_json({{"machine", machine_json(kernels->isa, {limits})}, {"results", std::move(results)}});
  }
  return kExitOk;
}

}  // namespace

int bench_command(Context& context) {
  BenchOptions options;
  if (auto code = context.parse(options, kExamples)) return *code;
  if (!this_build().optimized && !options.allow_debug) {
    return context.failed({ErrorCode::kUnsupported,
                           "this build is not optimized, its figures would mean nothing "
                           "(--allow-debug goes on)"});
  }
  if (options.model.model == "kernels" && !options.model.profile.empty()) {
    return context.usage_error("--profile wants a model");
  }
  const auto code = options.model.model == "kernels" ? bench_kernels_command(context, options)
                                                     : bench_model_command(context, options);
  return code ? *code : context.failed(code.error());
}

}  // namespace quern::cli
