#!/usr/bin/env bash
# Runs every fuzz target of a build for some seconds each, as many at a time as there are jobs.
# Usage: tools/fuzz_short.sh BUILD_FOLDER [SECONDS] [JOBS]
# What it finds stays in BUILD_FOLDER/artifacts; found inputs that widen coverage stay in BUILD_FOLDER/corpus. To make a
# crash a regression test, copy its file to fuzz/corpus/<name>/: every run starts by executing all of the corpus.
set -euo pipefail

build=${1:?the build folder}
seconds=${2:-20}
jobs=${3:-$(nproc)}
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$build/artifacts" "$build/logs"

run_one() {
  local program=$1 name seeds=() log
  name=$(basename "$program" _fuzz)
  log=$build/logs/$name.txt
  mkdir -p "$build/corpus/$name"
  [ -d "$source/fuzz/corpus/$name" ] && seeds+=("$source/fuzz/corpus/$name")
  [ -f "$source/fuzz/$name.dict" ] && seeds+=("-dict=$source/fuzz/$name.dict")
  if "$program" -seed=1 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/artifacts/$name-" "$build/corpus/$name" "${seeds[@]}" >"$log" 2>&1 </dev/null; then
    echo "ok      $name: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs"
  else
    echo "FAILED  $name: the end of $log"
    tail -n 40 "$log"
    return 1
  fi
}
export -f run_one
export build seconds source

mapfile -t programs < <(find "$build" -name '*_fuzz' -type f -executable | sort)
if [ "${#programs[@]}" -eq 0 ]; then
  echo "no fuzz targets under $build: build fuzz_targets first" >&2
  exit 1
fi
# shellcheck disable=SC2016  # the inner shell expands its own $1
printf '%s\0' "${programs[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'run_one "$1" || exit 1' _
