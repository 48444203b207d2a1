# Everything that a person or CI runs here. `make` lists it.

SHELL := bash
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
CARGO_DENY_VERSION := 0.20.2
TOOLS := $(CARGO_TARGET_DIR)/tools
CARGO_DENY := $(TOOLS)/bin/cargo-deny-$(CARGO_DENY_VERSION)

.PHONY: help demo setup check test bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: setup ## everything on this machine until Ctrl-C; with SECONDS=60 it ends by itself, with an audit
	cargo build --locked -p rollcall
	$(CARGO_TARGET_DIR)/debug/rollcall demo $(if $(SECONDS),--seconds $(SECONDS))

setup: ## look for what is missing, and install it where that may be done
	@processor/stack/setup.sh

check: setup $(CARGO_DENY) ## formatting, lints, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p rollcall --no-default-features --locked -- -D warnings
	$(CARGO_DENY) --workspace --locked check --hide-inclusion-graph licenses sources bans
	@echo "check: advisories are NOT checked: their database is not in a package registry"

test: setup ## all tests, on a real Kafka, registry and PostgreSQL
	cargo test --workspace --locked

bench: setup ## throughput probes of the normalizer and the codec
	cargo run --release --locked -p rollcall-normalize --example throughput
	cargo run --release --locked -p rollcall-codec --example throughput

clean: ## remove everything that was built
	cargo clean

# A tool of the check, built once, without optimization: it runs for a second.
$(CARGO_DENY):
	CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	    cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION) --root $(TOOLS)
	mv $(TOOLS)/bin/cargo-deny $@
