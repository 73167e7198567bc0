# Engenho's two commands are `make demo` and `make check`; `make help` lists the rest.
# Everything that is not Debian's own goes below .deps/ and build/.

SHELL := /bin/bash
JOBS ?= $(shell nproc)
DEPS := $(if $(ENGENHO_DEPS),$(ENGENHO_DEPS),$(CURDIR)/.deps)
PYTHON := $(DEPS)/venv/bin/python
CTEST := ctest --output-on-failure --no-tests=error
export ENGENHO_DEPS := $(DEPS)

.DEFAULT_GOAL := help
.PHONY: help deps deps-test build demo check fresh bench chaos licensor-proof lint fuzz asan tsan docs clean

help: ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

deps: ## install what building and running need (Debian packages, librdkafka, hiredis, Kafka)
	@cmake/deps/deps.sh run

deps-test:
	@cmake/deps/deps.sh test

build: deps ## build all programs into build/dev/bin
	@cmake --preset dev >build.log 2>&1 || { cat build.log; exit 1; }
	@cmake --build build/dev --parallel $(JOBS)
	@rm -f build.log

demo: build ## install, build, start everything on this machine and show it at work (KEEP=1: leave it running)
	@KEEP=$(KEEP) ENGENHO_BIN=$(CURDIR)/build/dev/bin demo/run

check: deps-test ## install, build and pass every test
	@tests/check

fresh: ## run `make demo` and `make check` in an empty Debian 12 root
	@tests/fresh

bench: deps-test ## measure executions a second beside hand-written Python loops, and memory
	@cmake --preset test >/dev/null && cmake --build build/test --parallel $(JOBS)
	@ENGENHO_BIN=$(CURDIR)/build/test/bin PYTHONPATH=$(CURDIR) $(PYTHON) -m tests.bench

chaos: deps-test ## the long tests with kills of every process
	@cmake --preset test >/dev/null && cmake --build build/test --parallel $(JOBS)
	@ENGENHO_BIN=$(CURDIR)/build/test/bin tests/in-parallel -n 2 --dist load tests/chaos

licensor-proof: deps-test ## the full-size proofs of the licensor: 50 histories of 5,000 operations, 20 fail-overs that lose writes
	@cmake --preset test >/dev/null && cmake --build build/test --parallel $(JOBS)
	@ENGENHO_PROOF=full ENGENHO_BIN=$(CURDIR)/build/test/bin $(PYTHON) -m pytest -q -rP -p no:cacheprovider tests/chaos/test_licensor_*.py

lint: deps-test ## check layers, sizes, banned functions, format and that generated docs are in step
	@cmake --preset test >/dev/null && cmake --build build/test --parallel $(JOBS)
	@ENGENHO_BIN=$(CURDIR)/build/test/bin $(PYTHON) -m pytest -q tests/lint

asan: deps-test ## the C tests and the integration tests with address and undefined-behaviour sanitizers
	@tests/sanitized asan

tsan: deps-test ## the C tests with the thread sanitizer
	@cmake --preset tsan >/dev/null && cmake --build build/tsan --parallel $(JOBS)
	@cd build/tsan && $(CTEST)

fuzz: deps-test ## run fuzz targets (FUZZ_TARGETS, or all) for FUZZ_SECONDS each (60), or for FUZZ_CPU_SECONDS of CPU time
	@tests/fuzz/run $(if $(FUZZ_CPU_SECONDS),--cpu-seconds $(FUZZ_CPU_SECONDS),$(or $(FUZZ_SECONDS),60)) $(FUZZ_TARGETS)

docs: build ## write docs/CONFIGURATION.md and docs/METRICS.md anew from the programs' tables
	@ENGENHO_BIN=$(CURDIR)/build/dev/bin python3 tests/lint/generate_docs.py --write

clean: ## remove what was built (what `make deps` installed stays)
	@rm -rf build build.log
