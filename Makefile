# Everything that a person or CI runs here. `make` lists it.

SHELL := bash
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
CARGO_DENY_VERSION := 0.20.2
TOOLS := $(CARGO_TARGET_DIR)/tools
CARGO_DENY := $(TOOLS)/bin/cargo-deny-$(CARGO_DENY_VERSION)

FUZZ := processor/normalize/fuzz
# Executions for each fuzz target.
RUNS ?= 10000000

# Worlds of the deterministic simulator; SEED=x replays one, with its trace.
SEEDS ?= 10000
SEED ?=
# Generated scripts that models and real services play alike; SEED=x plays one.
SCRIPTS ?= 100

# How long `make chaos` goes on; without a SEED it draws one, and says it.
MINUTES ?= 10

.PHONY: help demo setup check test chaos fuzz simulate mutants fidelity bench bench-poison bench-recovery clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: setup ## everything on this machine until Ctrl-C; with SECONDS=60 it ends by itself, with an audit
	cargo build --locked -p rollcall
	$(CARGO_TARGET_DIR)/debug/rollcall demo $(if $(SECONDS),--seconds $(SECONDS))

setup: ## look for what is missing, and install it where that may be done
	@processor/stack/setup.sh

check: setup $(CARGO_DENY) ## formatting, lints, licences and sources of dependencies
	cargo fmt --all --check
	cargo fmt --manifest-path $(FUZZ)/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p rollcall --no-default-features --locked -- -D warnings
	cargo clippy -p rollcall-world --features mutants --locked -- -D warnings
	$(CARGO_DENY) --workspace --locked check --hide-inclusion-graph licenses sources bans
	$(CARGO_DENY) --manifest-path $(FUZZ)/Cargo.toml --config deny.toml --locked check --hide-inclusion-graph licenses sources bans
	@echo "check: advisories are NOT checked: their database is not in a package registry"

# The same generated input each time: a red test is red again. `PROPTEST_RNG_SEED= make test` draws others.
test: export PROPTEST_RNG_SEED ?= 1
test: setup ## all tests, on a real Kafka, registry and PostgreSQL; three minutes of chaos among them
	SEED=$(or $(SEED),1) MINUTES=3 cargo test --workspace --locked
	cargo run --release --locked -p rollcall-world --bin rollcall-world -- $(SEEDS)
	SEED=1 $(FUZZ)/run.sh 20000

chaos: setup ## several instances under load, and fault after fault on the real services, for MINUTES=10; SEED=x: the same faults
	MINUTES=$(MINUTES) SEED=$(SEED) cargo test --locked -p rollcall --test rollcall chaos::chaos -- --exact --nocapture

fuzz: ## every parser against hostile input, RUNS=10000000 times each; what it learns stays in target/fuzz/corpus
	CORPUS=$(CARGO_TARGET_DIR)/fuzz/corpus $(FUZZ)/run.sh $(RUNS)

simulate: ## the pipeline's tasks in SEEDS=10000 seeded worlds of faults; SEED=x replays one, with its trace
	cargo run --release --locked -p rollcall-world --bin rollcall-world -- $(if $(SEED),--seed $(SEED),$(SEEDS))

mutants: ## named defects, switched on one by one: some world must find each within 2,000 seeds
	cargo run --release --locked -p rollcall-world --features mutants --bin rollcall-mutants -- 2000

fidelity: setup ## the simulator's models against the real services: SCRIPTS=100 generated ones beside those written by hand
	SCRIPTS=$(SCRIPTS) SEED=$(SEED) cargo test --locked -p rollcall --test rollcall fidelity -- --nocapture

bench: setup ## throughput of the normalizer and the codec
	cargo bench --locked -p rollcall-normalize --bench normalize
	cargo run --release --locked -p rollcall-codec --example throughput

# Measurements are tests that assert what is stored, not how fast; they print a table each.
MEASURE := cargo test --release --locked -p rollcall --test rollcall -- --ignored --nocapture --test-threads=1

bench-poison: setup ## what one per cent of poison costs the pipeline, on a real stack; 5 minutes
	$(MEASURE) measures::poison

bench-recovery: setup ## kill -9 with a million live windows, a graceful leave, an abandoned transaction, an outage of SINK; 10 minutes
	$(MEASURE) measures::recovery

clean: ## remove everything that was built
	cargo clean

# A tool of the check, built once, without optimization: it runs for a second.
$(CARGO_DENY):
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	    cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS)
	mv $(TOOLS)/bin/cargo-deny $@
