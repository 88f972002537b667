# SPDX-License-Identifier: Apache-2.0
# Two commands matter: `make run` and `make test`. CMake does the building, this file names things.

SHELL   := /bin/bash
BUILD   ?= build
M       ?=
P       ?= json
SECONDS ?= 60
CMAKE   := cmake -G Ninja -DCMAKE_C_COMPILER=$(or $(CC_NAME),gcc)

.PHONY: all run demo test asan tsan fuzz fmt lint bench stats hooks openapi docs setup setup-test clean

all: $(BUILD)/build.ninja ## build the release binary build/snug
	@cmake --build $(BUILD) --target snug -- --quiet
	@ln -sf $(BUILD)/compile_commands.json compile_commands.json

$(BUILD)/build.ninja: | setup
	@$(CMAKE) -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DSNUG_TESTS=OFF >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/configure.log

setup: ## install what building needs from Debian's packages
	@tools/setup.sh build

setup-test:
	@tools/setup.sh test

run: all ## build, start the hub, publish the samples, show it working, keep serving
	@tools/run.sh $(BUILD)/snug

demo: all ## the same, then stop
	@SNUG_DEMO_EXIT=1 tools/run.sh $(BUILD)/snug

test: setup-test ## all tests; M=tok for one module, M=clients for the stock clients
	@BUILD=$(BUILD) tests/run.sh $(M)

asan: setup-test ## tests under AddressSanitizer and UBSan
	@SANITIZE=address,undefined BUILD=build-asan tests/run.sh $(M)

tsan: setup-test ## tests under ThreadSanitizer
	@SANITIZE=thread BUILD=build-tsan tests/run.sh $(M)

fuzz: setup-test ## libFuzzer for SECONDS on one parser: make fuzz P=safetensors
	@tools/setup.sh lint
	@$(CMAKE) -DCMAKE_C_COMPILER=clang-14 -S . -B build-fuzz -DCMAKE_BUILD_TYPE=Debug -DSNUG_FUZZ=ON \
	  -DSNUG_SANITIZE=address,undefined >/dev/null && cmake --build build-fuzz --target fuzz_$(P)
	@mkdir -p build-fuzz/corpus/$(P) && build-fuzz/fuzz/fuzz_$(P) -max_total_time=$(SECONDS) \
	  -rss_limit_mb=2048 -timeout=10 build-fuzz/corpus/$(P) fuzz/corpus/$(P)

fmt: ## clang-format what changed
	@tools/setup.sh lint
	@git diff --name-only --diff-filter=d HEAD -- '*.c' '*.h' | xargs -r clang-format-14 -i

lint: $(BUILD)/build.ninja ## layers, banned calls, clang-tidy
	@tools/setup.sh lint
	@BUILD=$(BUILD) tools/lint.sh

bench: all ## measure us and the peers in one run; prints JSON
	@tools/setup.sh bench
	@cmake --build $(BUILD) --target benches tool_randmodel snug
	@BUILD=$(BUILD) python3 bench/run.py $(M)

stats: $(BUILD)/build.ninja ## function and file sizes
	@cmake --build $(BUILD) --target tool_stats >/dev/null && git ls-files 'src/*.[ch]' | xargs $(BUILD)/tools/tool_stats

openapi: all ## the OpenAPI document of this build
	@$(BUILD)/snug openapi

docs: all ## regenerate the documents made from tables
	@$(BUILD)/snug help --markdown >docs/cli.md && $(BUILD)/snug config --markdown >docs/config.md \
	  && $(BUILD)/snug openapi --markdown >docs/api-status.md

hooks: ## pre-commit: lint of what changed and the fast tests
	@printf '#!/bin/sh\nmake lint && make test M=base\n' >.git/hooks/pre-commit && chmod +x .git/hooks/pre-commit

clean:
	@rm -rf build build-asan build-tsan build-fuzz compile_commands.json

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
