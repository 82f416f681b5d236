# Everything here works on a fresh checkout; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Three at a time, because tests on the lab mostly wait; one group of tests stays in one process.
LAB_TESTS := -n 3 --dist loadgroup -q

.DEFAULT_GOAL := help
.PHONY: help up down clean backup restore test lint unit integration bench

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; install Python 3.11 or newer with its venv module"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; install a newer one, or name it: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "virtual environment: $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

up: $(STAMP) ## Tools, local control plane, dev stack; then show what exists (KUBE_CONTEXT=kind-dev uses that cluster)
	@$(BIN)/python -m lab.workflow up

down: $(STAMP) ## Stop what `make up` started, and only that
	@$(BIN)/python -m lab.workflow down

clean: $(STAMP) ## Stop it and remove the environment's data
	@$(BIN)/python -m lab.workflow clean

backup: $(STAMP) ## Save the dev stack's keys, encrypted, to FILE (default: mtls-pki-dev.age)
	@$(BIN)/python -m lab.workflow backup --file "$(or $(FILE),mtls-pki-dev.age)"

restore: $(STAMP) ## Bring them back into an empty dev stack from FILE, and apply it
	@$(BIN)/python -m lab.workflow restore --file "$(or $(FILE),mtls-pki-dev.age)" $(if $(REBUILT),--rebuilt "$(REBUILT)")

test: lint unit integration ## Everything that CI runs

lint: $(STAMP) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit: $(STAMP) ## Tests that need no control plane
	@$(BIN)/python -m lab.toolchain actionlint
	@$(BIN)/python -m pytest tests/unit tests/chains -n 2 -q

integration: $(STAMP) ## Tests on the real engine and the real control plane
	@$(BIN)/python -m lab.toolchain
	@$(BIN)/python -m lab.toolchain step versitygw step-ca step-issuer aws-privateca-issuer
	@$(BIN)/python -m lab.toolchain node pilot-discovery
	@$(BIN)/python -m pytest tests/integration $(LAB_TESTS)
	@$(BIN)/python -m pytest tests/rotation_lab $(LAB_TESTS)

bench: $(STAMP) ## Measure; prints a table, writes bench/results/
	@$(BIN)/python -m bench
