# What a contributor types. Recipes stay thin: the work is in packaging/dev/ and packaging/.
.DEFAULT_GOAL := help
SHELL := /bin/bash

DEPS := packaging/dev/deps.sh

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: deps
deps: ## install what building, testing and packaging need (apt-get, as root or by sudo)
	@$(DEPS) test image lint packages repo e2e

.PHONY: build
build: ## bin/multica-rollup and bin/multica-lab
	@$(DEPS) build
	@packaging/dev/build.sh bin

.PHONY: test
test: ## every Go test but the end-to-end ones, on a real PostgreSQL
	@$(DEPS) test
	@packaging/dev/test.sh

PG ?= 15 17
.PHONY: test-postgres
test-postgres: ## the tests that use a database, on each version of PostgreSQL in PG (15 17)
	@$(DEPS) test $(addprefix postgres-,$(PG))
	@packaging/dev/test-postgres.sh $(PG)

.PHONY: lint
lint: ## gofmt, vet, linters, shellcheck, go.mod, file sizes
	@$(DEPS) lint
	@packaging/dev/lint.sh

.PHONY: demo
demo: ## a throw-away database with sample usage, rolled up before your eyes
	@$(DEPS) demo
	@packaging/dev/demo.sh

.PHONY: packages
packages: ## dist/*.deb and dist/*.rpm for amd64 and arm64
	@$(DEPS) build
	@packaging/build.sh

.PHONY: image
image: ## dist/*.image.tar, the container image for ARCH (this machine's; needs buildah)
	@$(DEPS) image
	@packaging/image.sh

.PHONY: lint-packages
lint-packages: packages ## lintian and rpmlint on dist/
	@$(DEPS) packages
	@packaging/lint.sh

.PHONY: repo
repo: packages ## apt and yum repositories of dist/
	@$(DEPS) repo
	@packaging/repo.sh

.PHONY: release-check
release-check: packages ## the same bytes from a second build, and from goreleaser (building that takes minutes)
	@packaging/reproduce.sh
	@packaging/goreleaser-compare.sh

.PHONY: e2e
e2e: ## check the Helm chart; install the packages in booted Debian systems and live an operator's day (needs root)
	@$(DEPS) e2e repo
	@packaging/dev/kubernetes.sh
	@packaging/e2e/run.sh

.PHONY: bench
bench: build ## measure beside what it replaces, into docs/benchmarks.md (ten minutes)
	@$(DEPS) test
	@packaging/dev/bench.sh

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (30s)
	@$(DEPS) test
	@packaging/dev/fuzz.sh

.PHONY: soak
soak: ## an hour (SOAK) beside a database under load: what grows, who waits, what is wrong
	@$(DEPS) test
	@MULTICA_PROOF_SOAK=$${SOAK:-1h} go test -v -count=1 -timeout 24h ./internal/proof/soak

.PHONY: nightly
nightly: ## what is too slow for every change: race detector, long properties, fuzzing, e2e
	@$(DEPS) test race postgres-18 e2e repo
	@packaging/dev/nightly.sh

.PHONY: clean
clean: ## remove bin/ and dist/
	@rm -rf bin dist
