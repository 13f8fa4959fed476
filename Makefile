# basewatch: build and test. `make test` needs Go, make and a Debian; it gets
# the rest itself. `make help` lists the targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN     := .bin

# Linting is part of the tests, so that its version is pinned here and only here.
LINT_VERSION := v2.15.0
LINT         := $(BIN)/golangci-lint-$(LINT_VERSION)

# What tests run as real child processes, what the race detector is linked with,
# and the Debian packages they are in.
PROGRAMS := docker-registry htpasswd gcc
PACKAGES := docker-registry apache2-utils gcc libc6-dev

# How long `make fuzz` spends on each target.
FUZZTIME ?= 1m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: programs lint ## all that must pass: set-up, format, vet, lint, tests with the race detector
	@race=-race; \
	if ! command -v gcc >/dev/null; then \
		echo "MISSING: gcc, so the race detector is off" >&2; \
		if [ "$${CI:-}" = true ]; then exit 1; fi; \
		race=; \
	fi; \
	set -x; $(GO) test $$race -timeout 9m ./...

.PHONY: lint
lint: $(LINT) ## gofmt, vet, golangci-lint
	@unformatted="$$(gofmt -l .)"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...

.PHONY: build
build: ## a static, stripped, reproducible binary: ./basewatch
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -buildid= -X main.version=$(VERSION)' -o basewatch ./cmd/basewatch

.PHONY: image
image: ## a container image: basewatch:VERSION
	docker build --build-arg VERSION=$(VERSION) -t basewatch:$(VERSION) .

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (1m)
	@{ grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . || true; } | while read -r file; do \
		grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | while read -r _ name; do \
			echo "== $$(dirname "$$file") $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
		done; \
	done

# How much `make reliability` does; see docs/reliability.md.
CHANGES ?= 1000
KILLS   ?= 100
SEED    ?= 20261122

.PHONY: reliability
reliability: ## kill -9 of the built binary, KILLS times during CHANGES changes, by SEED
	BASEWATCH_CHANGES=$(CHANGES) BASEWATCH_KILLS=$(KILLS) BASEWATCH_SEED=$(SEED) \
		$(GO) test -count=1 -timeout 60m -run '^TestKillsLoseNoChange$$' -v ./cmd/basewatch

.PHONY: bench
bench: ## every benchmark, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf basewatch dist $(BIN)

# programs installs what is missing. apt runs only then. The registry's Debian
# package would start a service on port 5000, now and at every boot: policy-rc.d
# forbids the one, systemctl the other.
.PHONY: programs
programs:
	@missing=""; for p in $(PROGRAMS); do command -v "$$p" >/dev/null || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then root=none; \
	elif [ "$$(id -u)" = 0 ]; then root=""; \
	elif sudo -n true 2>/dev/null; then root="sudo -n"; \
	else root=none; fi; \
	if [ "$$root" = none ]; then \
		echo "MISSING:$$missing. Tests that need them will be skipped (with CI=true: fail)." >&2; \
		echo "As root: apt-get install $(PACKAGES)" >&2; \
		exit 0; \
	fi; \
	echo "installing $(PACKAGES) for:$$missing"; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then \
		printf '#!/bin/sh\nexit 101\n' | $$root tee $$policy >/dev/null; \
		$$root chmod 0755 $$policy; \
		trap '$$root rm -f $$policy' EXIT; \
	fi; \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get update -qq; \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	case "$$missing" in *docker-registry*) \
		if [ -d /run/systemd/system ]; then $$root systemctl disable --quiet --now docker-registry || true; fi;; \
	esac

# The linter is built by the Go module proxy's checksums into .bin, once for
# each version.
$(LINT):
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(BIN)/golangci-lint $@
