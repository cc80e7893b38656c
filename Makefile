# Needs Python 3.11 or newer and make; everything else lands in .venv and .jangada. `make` alone shows the targets.
.DEFAULT_GOAL := help

PYTHON ?=
BIN := .venv/bin

TESTS := tests/unit tests/contract tests/algorithms/real tests/integration tests/fuzz tests/e2e
PYTEST := $(BIN)/python -m pytest
# Two files at a time, or four where there are the cores: most tests wait. WORKERS=0 is one after the other.
WORKERS ?= logical
MANY := --numprocesses=$(WORKERS) --maxprocesses=4 --dist=loadfile
ARGS ?=

.PHONY: help install check fix test test-unit test-contract test-integration test-e2e chaos chaos-trials fuzz bats release-rehearsal bench demo up down lock openapi clean test-lab infra-up infra-plan infra-drift infra-status infra-destroy terraform-graph

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: .venv/.installed-dev  ## Make .venv with everything pinned; quick when nothing changed

.venv/.installed-local: requirements/local.txt pyproject.toml
	@scripts/install.sh local $(PYTHON)

.venv/.installed-dev: requirements/dev.txt pyproject.toml
	@scripts/install.sh dev $(PYTHON)

check: install  ## Lint, format, types, import rules, OpenAPI up to date, workflows and shell scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/openapi.py --check
	scripts/ci/lint_workflows.sh

fix: install  ## Format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install  ## Everything but long runs: unit, contract, integration, e2e, a short chaos, a short fuzz (ARGS="-k name")
	$(PYTEST) $(MANY) $(TESTS) tests/chaos $(ARGS)

test-unit: install  ## No socket, no sleep
	$(PYTEST) $(MANY) tests/unit $(ARGS)

test-contract: install  ## One suite per protocol, over every implementation this machine has
	$(PYTEST) $(MANY) tests/contract $(ARGS)

test-integration: install  ## Real servers, real child processes
	$(PYTEST) $(MANY) tests/integration $(ARGS)

test-e2e: install  ## Stories through the public API of an embedded platform
	$(PYTEST) tests/e2e $(ARGS)

test-lab: install  ## Servers (containers) from nothing to a running platform and back, the whole story (docs/deploy.md)
	LAB=full $(PYTEST) tests/integration/terraform -s $(ARGS)

chaos: install  ## Break everything for ten minutes, at moments that a seed decides, then count (CHAOS_SEED, CHAOS_SECONDS)
	CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(PYTEST) tests/chaos/test_chaos.py -s $(ARGS)

chaos-trials: install  ## The promises about faults, tried by the hundred and counted (TRIALS, LANES); an hour
	@for kind in outage failover-sentinel failover-cluster redelivery hand-back held-gil poison; do \
	  $(BIN)/python -m tests.chaos.trials $$kind --trials $${TRIALS:-100} --lanes $${LANES:-4} || exit 1; \
	done; $(BIN)/python -m tests.chaos.trials idle --trials 3

fuzz: install  ## 10,000 malformed requests of each kind to a gateway (FUZZ_SEED, FUZZ_REQUESTS)
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-10000} $(PYTEST) tests/fuzz $(ARGS)

bats:  ## The release scripts, each test in a repository of its own (needs bats, bats-assert, bats-support)
	BATS_LIB_PATH=$${BATS_LIB_PATH:-/usr/lib/bats} bats $(ARGS) tests/bats

release-rehearsal: install  ## The whole delivery line on this machine with every image, and back (needs Docker)
	RELEASE_IMAGES=all $(PYTEST) tests/e2e/test_release.py -s $(ARGS)

bench: install  ## Every benchmark, results as JSON in benchmarks/results
	@for file in $$(grep -l '"--out"' benchmarks/*/*.py); do \
	  module=$$(echo $${file%.py} | tr / .); echo "== $$module"; $(BIN)/python -m $$module || exit 1; \
	done

demo: .venv/.installed-local  ## Start a platform, send scanned documents through it, show their metadata, stop
	@$(BIN)/jangada demo $(ARGS)

up: .venv/.installed-local  ## Start the embedded platform and stay; Ctrl-C stops it
	@$(BIN)/jangada up $(ARGS)

down: .venv/.installed-local  ## Stop it from elsewhere
	@$(BIN)/jangada down

# ENV is a folder in terraform/environments; ARGS are infra.sh's: --yes, --hosts a,b, --var-file FILE.
infra-up:  ## Bring the servers of ENV=… to what terraform/environments/… says (docs/deploy.md)
	@scripts/infra.sh up $${ENV:?dedicated, or another folder of terraform/environments} $(ARGS)

infra-plan infra-drift infra-status infra-destroy:
	@scripts/infra.sh $(@:infra-%=%) $${ENV:?dedicated, or another folder of terraform/environments} $(ARGS)

terraform-graph: install  ## Draw docs/terraform.svg: which module waits for which (needs terraform and Graphviz)
	$(BIN)/python -m scripts.terraform_graph

openapi: install  ## Write docs/openapi.json from the code
	$(BIN)/python scripts/openapi.py

lock: install  ## Write requirements/*.txt from what is installed in .venv
	$(BIN)/python scripts/lock_requirements.py

clean:  ## Remove what can be made again; data in .jangada stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.jangada/*' -prune -exec rm -rf {} +
