# The commands of the project; `make` alone lists them. Each brings its own set-up (tools/bootstrap.sh). Builds lie in
# folders of their own, so that none undoes another: build (release), build-test, build-sanitized (fuzz targets too),
# build-tsan, build-neon. build-clients holds what tests/server and tests/grammar need.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
MODEL ?= smollm2:135m
PROMPT ?= Write three short tips for someone who learns to cook.
SANITIZE ?= address,undefined
FUZZ_SECONDS ?= 20
BENCH ?= -p 512 -n 128 -r 3

# What the user typed goes to the shell as an environment variable, untouched: quotes, spaces and dollars are text.
override PROMPT := $(value PROMPT)
override MODEL := $(value MODEL)
export PROMPT MODEL

comma := ,
sanitize_dir := build-$(subst thread,tsan,$(subst address$(comma)undefined,sanitized,$(SANITIZE)))
ctest = ctest --output-on-failure --no-tests=error -j $(JOBS) --test-dir
# $(call configure,FOLDER,OPTIONS): CMake runs once; afterwards ninja asks for it when a CMake file changes.
configure = [ -f $(1)/build.ninja ] || cmake -G Ninja -B $(1) $(2) >/dev/null

# Sanitizers and libFuzzer are clang's: its instrumented builds take half the time of gcc's, and one serves both.
configure_sanitized = $(call configure,$(1),-DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-g1 -DCMAKE_C_COMPILER=clang-19 \
  -DCMAKE_CXX_COMPILER=clang++-19 -DQUERN_SANITIZE=$(2) -DQUERN_FUZZ=$(if $(findstring address,$(2)),ON,OFF))
# Reports name lines by addr2line, which comes with g++; clang's own symbolizer is a package of 70 MB.
symbolizer = external_symbolizer_path=$(shell command -v addr2line)
sanitizer_options = ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:$(symbolizer) \
  UBSAN_OPTIONS=print_stacktrace=1:$(symbolizer) TSAN_OPTIONS=$(symbolizer)

.PHONY: help run test bench lint format sanitize tsan fuzz-short neon clean release

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

release:
	@tools/bootstrap.sh build
	@$(call configure,build,-DCMAKE_BUILD_TYPE=Release -DQUERN_TESTS=OFF)
	@ninja -C build --quiet -j $(JOBS) quern_cli | sed '/no work to do/d'

run: release  ## build, get the model, answer: make run PROMPT="..." [MODEL=...]; PROMPT= opens a chat
	@[ -e "$$MODEL" ] || build/quern pull "$$MODEL" >/dev/null
	@if [ -n "$$PROMPT" ]; then build/quern run "$$MODEL" -- "$$PROMPT"; else build/quern run "$$MODEL"; fi

test:  ## everything through ctest, warnings are errors
	@tools/bootstrap.sh build test lint
	@$(call configure,build-test,-DCMAKE_BUILD_TYPE=Release -DQUERN_WERROR=ON)
	@ninja -C build-test -j $(JOBS)
	@tools/client_env.sh build-clients
	@build-test/quern pull smollm2:135m >/dev/null
	@build-test/quern pull gemma3:270m >/dev/null
	@$(ctest) build-test

bench: release  ## speed beside the machine's limits: make bench [MODEL=...] [BENCH="-p 512 -n 128"]
	@[ -e "$$MODEL" ] || build/quern pull "$$MODEL" >/dev/null
	@build/quern bench "$$MODEL" $(BENCH)

lint:  ## layers, names, sizes, sealed ISA files, formatting, scripts
	@tools/bootstrap.sh build test lint
	@$(call configure,build-test,-DCMAKE_BUILD_TYPE=Release -DQUERN_WERROR=ON)
	@ninja -C build-test --quiet -j $(JOBS) quern
	@ctest --no-tests=error -V -L lint --test-dir build-test \
	  | sed -nE '/: (Test command|Working Directory|Test timeout)/d; s/^[0-9]+: //p; /tests passed/,$$p'

format:  ## lay out all C++ by clang-format
	@tools/bootstrap.sh lint
	@python3 tools/check_format.py --fix

# Without the perplexity of the real models and the manners of the commands: minutes of code that other tests run too.
sanitize:  ## the tests under ASan and UBSan; SANITIZE=thread for races
	@tools/bootstrap.sh build test fuzz
	@tools/client_env.sh build-clients
	@$(call configure_sanitized,$(sanitize_dir),$(SANITIZE))
	@ninja -C $(sanitize_dir) -j $(JOBS)
	@$(sanitizer_options) $(ctest) $(sanitize_dir) -LE 'lint|install' -E 'Golden.Perplexity|cli.manners'

# The engine's own tests on real models and of its arithmetic run one thread's steps, dear under TSan; server.schema
# makes its requests one after another.
no_threads := ^(RealBits|Decoding|Load|Split|EnginePackCache|Profile|Shapes|Models/.*)[.]

tsan:  ## the tests of what has threads, under ThreadSanitizer
	@tools/bootstrap.sh build test fuzz
	@tools/client_env.sh build-clients
	@$(call configure_sanitized,build-tsan,thread)
	@ninja -C build-tsan -j $(JOBS) thread_tests
	@$(sanitizer_options) $(ctest) build-tsan -L '^(os|kv|engine|server)$$' -E '$(no_threads)|^server.schema$$'

fuzz-short:  ## every fuzz target for FUZZ_SECONDS
	@tools/bootstrap.sh build test fuzz
	@$(call configure_sanitized,build-sanitized,address$(comma)undefined)
	@ninja -C build-sanitized -j $(JOBS) fuzz_targets
	@tools/fuzz_short.sh build-sanitized $(FUZZ_SECONDS) $(JOBS)

neon:  ## the tests of the lowest rooms for 64-bit ARM, under qemu
	@tools/bootstrap.sh build neon
	@$(call configure,build-neon,-DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/cmake/aarch64-linux-gnu.cmake \
	  -DQUERN_CROSS_TESTS_ONLY=ON -DQUERN_WERROR=ON)
	@ninja -C build-neon -j $(JOBS)
	@python3 tools/check_sealed.py --build build-neon --prefix aarch64-linux-gnu- neon neon_i8mm
	@$(ctest) build-neon

clean:  ## remove the builds
	rm -rf build build-test build-sanitized build-tsan build-neon build-clients
