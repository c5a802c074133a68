# Two commands matter: `make run` and `make test`. Both prepare what they need and say what they do.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
export PYO3_PYTHON := $(PYTHON)
# Property tests try the same cases each time; another seed searches elsewhere.
export PROPTEST_RNG_SEED ?= 20260101
# Cargo would look for make's job server, which is open to make alone.
unexport MAKEFLAGS MFLAGS
# Tests start hundreds of processes, each of which would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
STAMPS := $(VENV)/python.stamp $(VENV)/native.stamp
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
say = @printf '\033[1m==> %s\033[0m\n' "$(1)"

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: ## Prepare the environment: .venv with the ringfence command, data plane built
	@$(MAKE) --no-print-directory -j2 $(VENV)/python.stamp $(VENV)/dist.stamp

# uv takes a seventh of pip's time. It is told what pip is told by its environment: the index, and the machine's authorities.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input --no-compile --require-hashes
UV := env UV_SYSTEM_CERTS=true $(if $(PIP_INDEX_URL),UV_DEFAULT_INDEX=$(PIP_INDEX_URL)) \
  $(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes

$(VENV)/python.stamp: requirements/installer.lock requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, $(PYTHON) is older" >&2; exit 1; }
	$(call say,Python packages into $(VENV) (some seconds the first time))
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --only-binary :all: -r requirements/installer.lock >/dev/null && $(UV) -r requirements/dev.lock || { \
	  echo "  uv cannot install here, pip does: some minutes" >&2; \
	  $(PIP) --progress-bar off -r requirements/dev.lock | awk '/^Collecting/ { printf "  %s\n", $$2; fflush() } /^Successfully/ { print "  installed" }'; }
	@printf '%s\n' '$(CURDIR)/python' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ringfence.pth"
	@printf '#!%s\nfrom ringfence.cli.main import run\nrun()\n' '$(CURDIR)/$(BIN)/python' > $(BIN)/ringfence && chmod +x $(BIN)/ringfence
	@touch $@

# The extension is built where the package lies; `maturin` does the same for the wheel. What runs, ships and is measured is
# optimised across crates; tests of what was not built so before take what builds in half the time, linted as it is compiled.
LINTED := RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/crates/clippy.sh

define native
	@command -v cargo >/dev/null || { echo "make: a Rust toolchain is needed (cargo was not found)" >&2; exit 1; }
	$(call say,Rust data plane (some minutes the first time))
	@$(2) cargo build --profile $(1) --locked --package ringfence-bindings
	@install -m 755 target/$(1)/lib_native.so python/ringfence/_native.abi3.so
	@mkdir -p $(VENV)
endef

$(VENV)/dist.stamp: pyproject.toml $(RUST_SOURCES)
	$(call native,dist)
	@touch $(VENV)/native.stamp $@

$(VENV)/native.stamp: pyproject.toml $(RUST_SOURCES)
	$(call native,release,$(LINTED))
	@touch $@ && rm -f $(VENV)/dist.stamp

.PHONY: run
run: setup ## Start everything on this machine: database, mediation with console, ENUM server
	@exec $(BIN)/ringfence up

.PHONY: packages
packages: ## Install the Debian packages that tests use (as root), or name the missing ones
	@PYTHON=$(PYTHON) bash tests/packages.sh

# Side by side, each as soon as it can: Python packages, then types; Debian packages; the data plane, then its tests beside
# the Python tests, which wait now and then. Those that drive real load have the machine to themselves, last.
.PHONY: test
test: ## Run every check and test
	@$(MAKE) --no-print-directory -j4 test-rust test-python
	@$(MAKE) --no-print-directory test-load

.PHONY: lint
lint: $(VENV)/python.stamp ## Formatting, lints and types
	$(call say,Lints and types)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@cargo fmt --all --check
	@$(BIN)/mypy

# Between them the two commands compile, and so lint, all there is. The crates have no tests in their documentation. They
# leave the machine to the Python tests beside them, whose processes wait for each other's answers.
GENTLY := nice -n 5

.PHONY: test-rust
test-rust: $(VENV)/native.stamp ## Lints, unit, property and model tests of the crates
	$(call say,Rust lints and tests)
	@$(LINTED) $(GENTLY) cargo build --quiet --release --locked --workspace
	@$(LINTED) $(GENTLY) cargo test --quiet --release --locked --workspace --tests

# Twice the cores: most tests wait now and then.
TEST_WORKERS ?= 4

.PHONY: test-python
test-python: $(STAMPS) packages lint ## Unit, integration, browser and system tests
	$(call say,Python tests)
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not load"

.PHONY: test-load
test-load: $(STAMPS) ## Tests that drive real load over loopback
	$(call say,Python tests under load)
	@$(BIN)/python -m pytest -m load

PACKAGES := build/packages
PIP_TARGET := $(BIN)/python -m pip install --disable-pip-version-check --no-input --quiet --no-compile --target build/libraries

.PHONY: package
package: $(STAMPS) ## Build the wheel and the Debian package into build/packages
	$(call say,Wheel)
	@rm -rf $(PACKAGES) build/libraries && mkdir -p $(PACKAGES)
	@$(BIN)/maturin build --profile dist --locked --out $(PACKAGES)
	$(call say,Libraries for the Debian package)
	@$(PIP_TARGET) --only-binary :all: --require-hashes -r requirements/runtime.lock
	@$(PIP_TARGET) --no-deps $(PACKAGES)/ringfence-*.whl
	$(call say,Debian package)
	@bash deploy/debian/build.sh --libraries build/libraries --output $(PACKAGES)
	@$(MAKE) --no-print-directory sbom

.PHONY: sbom
sbom: $(VENV)/python.stamp ## Write what the packages are made of (CycloneDX) from the lock files; needs no network
	@mkdir -p $(PACKAGES) && $(BIN)/python deploy/sbom.py $(PACKAGES)/ringfence.cdx.json

.PHONY: package-test
package-test: package ## Install, start, cut off, upgrade, remove and purge the package on a booted machine (root; minutes)
	@RINGFENCE_TEST_PACKAGE=$(PACKAGES) $(BIN)/python -m pytest -m package tests/package

.PHONY: audit-dependencies
audit-dependencies: $(VENV)/python.stamp ## Prove that lock files carry hashes and the SBOM names all they pin; needs no network
	@$(BIN)/python deploy/audit_locks.py

FUZZ_SECONDS ?= 30
FUZZ_TARGETS := dns_query policy_document pattern source_uri journal_frame sip_message sdp identity \
  packet_decode pcapng tcp_reassembly hep rtcp websocket

.PHONY: fuzz
fuzz: ## Fuzz each parser for FUZZ_SECONDS=30 (needs cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "make: needs cargo-fuzz (cargo install --locked cargo-fuzz)" >&2; exit 1; }
	@# libFuzzer's coverage needs compiler flags that only a nightly Rust takes, or a stable one that is told to.
	@if cargo +nightly --version >/dev/null 2>&1; then export RUSTUP_TOOLCHAIN=nightly; else export RUSTC_BOOTSTRAP=1; fi; \
	for target in $(FUZZ_TARGETS); do \
	  printf '\033[1m==> Fuzzing %s for %s s\033[0m\n' $$target $(FUZZ_SECONDS); \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo fuzz run --sanitizer none --debug-assertions $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1; \
	done

.PHONY: fst-lab
fst-lab: setup ## The functional system test on this machine: two sites, waits scaled; record in build/fst-lab
	@$(BIN)/ringfence fst run --lab --scale-waits 0.01 --output build/fst-lab

SEEDS ?= 20
FIRST ?= 1

.PHONY: campaign
campaign: setup ## Random faults on two pairs and three ENUM servers while calls run: SEEDS=20 runs from FIRST=1
	@$(BIN)/python -m tests.campaign --seeds $(SEEDS) --first $(FIRST)

.PHONY: trial-availability
trial-availability: setup packages ## Follow docs/operations/availability.md word for word on namespaces (root; some minutes)
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m tests.failover.trial

.PHONY: bench-enum
bench-enum: setup ## Measure the ENUM server beside NSD, Knot and dnsdist
	@$(BIN)/python bench/enum/run.py

.PHONY: bench-policy
bench-policy: setup ## Measure the simulation of a policy, and a list of a million entries from command to enforced
	@$(BIN)/python bench/policy/run.py

.PHONY: bench-ingest
bench-ingest: setup ## Measure ingest beside PostgreSQL's own binary COPY
	@$(BIN)/python bench/ingest.py

.PHONY: bench-visible
bench-visible: $(VENV)/dist.stamp ## Measure how soon a call is counted in Analytics, at a thousand queries a second
	@$(BIN)/python bench/visible.py

.PHONY: bench-analytics
bench-analytics: $(VENV)/dist.stamp ## Measure views and searches over thirty days of eight devices, old days in the archive
	@$(BIN)/python bench/analytics.py

.PHONY: bench-storage
bench-storage: $(VENV)/dist.stamp ## Measure octets an event in the database and in the archive
	@$(BIN)/python bench/storage.py

.PHONY: bench-probe
bench-probe: setup ## Measure the probe beside tshark, sngrep and sipgrep
	@$(BIN)/python bench/probe/run.py

.PHONY: bench-detection
bench-detection: $(VENV)/dist.stamp ## Measure detections: speed, memory, what is found, and how soon a flood ends
	@$(BIN)/python bench/detection/run.py

.PHONY: bench-backup
bench-backup: $(VENV)/dist.stamp ## Measure a backup of ten million events beside pg_dump alone
	@$(BIN)/python bench/failover/backup.py

.PHONY: bench-failover
bench-failover: $(VENV)/dist.stamp ## Lose a site with ten million events under load, in both modes; every call counted
	@$(BIN)/python bench/failover/run.py

COMPILE := uv pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url

.PHONY: lock
lock: ## Renew the lock files from pyproject.toml and Cargo.toml (needs uv)
	@echo uv | $(COMPILE) --upgrade -o requirements/installer.lock -
	@$(COMPILE) --upgrade --extra dev pyproject.toml -o requirements/dev.lock
	@$(COMPILE) -c requirements/dev.lock pyproject.toml -o requirements/runtime.lock
	@cargo update

.PHONY: clean
clean: ## Remove what was built (not the data folder)
	@rm -rf $(VENV) target build python/ringfence/_native*.so
