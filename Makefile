# SPDX-License-Identifier: Apache-2.0
# Forage: a short front for Meson and Ninja. `make help` lists what there is.

BUILD  ?= build
PREFIX ?= /usr/local
TESTS  ?=

.DEFAULT_GOAL := help
.PHONY: help deps build demo test bench bench-peers lint format asan tsan install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install what is missing from the distribution's packages
	@scripts/deps.sh build test

build: ## the library and the program, in build/
	@scripts/deps.sh build
	@scripts/build.sh $(BUILD) program --buildtype=release

demo: build ## the study from simulation to report
	@scripts/demo.sh $(BUILD)

test: ## all tests; TESTS="name ..." for some
	@scripts/deps.sh build test
	@scripts/build.sh $(BUILD) all --buildtype=release
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --timeout-multiplier 5 $(TESTS)

bench: ## benchmarks; the machine's own peak is measured beside them
	@scripts/deps.sh build test
	@scripts/build.sh $(BUILD) all --buildtype=release
	@meson test -C $(BUILD) --no-rebuild --benchmark --verbose --timeout-multiplier 5 $(TESTS)

bench-peers: ## beside SciPy and PyTorch, where they are installed
	@scripts/deps.sh build test
	@scripts/build.sh $(BUILD) all --buildtype=release
	@/usr/bin/python3 bench/peers/graph.py $(BUILD) $${FORAGE_DATA:-../shared/data}/gowalla/train.txt
	@/usr/bin/python3 bench/peers/sequence.py $(BUILD) $${FORAGE_DATA:-../shared/data}/seq/beauty/beauty.txt \
	    $${FORAGE_DATA:-../shared/data}/seq/video/Video.txt
	@/usr/bin/python3 bench/peers/clicks.py $(BUILD) $${FORAGE_DATA:-../shared/data}/seq/video/Video.txt

lint: ## warnings as errors, format, cppcheck, clang-tidy, includes, exported symbols, docs
	@scripts/deps.sh build test lint
	@scripts/lint.sh

format: ## format every C file in place
	@scripts/deps.sh lint
	@scripts/sources.sh | xargs scripts/clang-tool.sh clang-format -i

asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/deps.sh build test
	@scripts/sanitize.sh address,undefined $(TESTS)

tsan: ## the concurrent tests under ThreadSanitizer
	@scripts/deps.sh build test
	@scripts/sanitize.sh thread $(TESTS)

install: build ## into PREFIX (default /usr/local); DESTDIR is honoured
	@meson configure $(BUILD) --prefix=$(abspath $(PREFIX))
	@scripts/build.sh $(BUILD) program
	@meson install -C $(BUILD) --no-rebuild

clean: ## remove everything that was built
	rm -rf $(BUILD) build-* report
