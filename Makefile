# Two commands are enough: `make run` and `make test`. Both set themselves up.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -q
ARGS ?=
SERVICE ?= http://127.0.0.1:2024
ENGINE ?= docker
IMAGE ?= everturn

.DEFAULT_GOAL := help
.PHONY: help setup run chat config check-model doctor test test-fast coverage check fuzz soak bench compare \
	page page-dev image image-test lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/ready ## make .venv with the locked packages; does nothing when it is up to date

run: .venv/ready ## start the service on http://127.0.0.1:2024, or the next free port
	@$(BIN)/everturn serve $(ARGS)

chat: .venv/ready ## talk to the running service
	@$(BIN)/everturn chat $(ARGS)

config: .venv/ready ## show every setting, its value and where it came from
	@$(BIN)/everturn config $(ARGS)

check-model: .venv/ready ## ask each configured model once, and say what is wrong
	@$(BIN)/everturn check-model $(ARGS)

doctor: .venv/ready ## say what becomes of a langgraph.json, without running it (ARGS='--config …')
	@$(BIN)/everturn doctor $(ARGS)

test: .venv/ready-dev ## run all tests
	@$(PYTEST) $(ARGS)

test-fast: .venv/ready-dev ## run the quick tests: no other processes, no waiting
	@$(PYTEST) -m 'not slow' $(ARGS)

coverage: .venv/ready-dev ## run all tests and list the lines that none runs; takes half as long again
	@$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

check: .venv/ready-dev ## lint, types, imports, security
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright & other=$$!; $(BIN)/mypy; one=$$?; wait $$other && exit $$one # side by side
	@$(BIN)/lint-imports
	@$(BIN)/bandit -q -r -ll -x server/web server graph tools checkpoints

fuzz: .venv/ready-dev ## ask every route more than 10,000 odd things (ARGS='--seed 7 --examples 200 --postgres')
	@$(BIN)/python -m tests.fuzz $(ARGS)

soak: .venv/ready-dev ## kill, stall and starve the service for half an hour (ARGS='one --trials 20 --seed 7')
	@$(BIN)/python -m tests.soak $(ARGS)

bench: .venv/ready-dev ## print the figures of every benchmark
	@for bench in tests/bench/*.py; do echo "== $$bench"; PYTHONPATH=. $(BIN)/python $$bench $(ARGS) || exit 1; done

compare: .venv/ready-dev ## compare with LangGraph's development server, of the environment TEST_DEVELOPMENT_SERVER
	@$(BIN)/python -m tests.compare $(ARGS)

page: server/web/node_modules/.package-lock.json ## build the page into server/api/page/assets (needs Node 20.19)
	@cd server/web && npm run --silent build

page-dev: server/web/node_modules/.package-lock.json ## show changes of the page as they are made (SERVICE=http://…)
	@cd server/web && EVERTURN_URL=$(SERVICE) npm run --silent dev

image: ## build the image `everturn` (ENGINE=podman, ARGS='--build-arg BASE=…'): see docs/deploy.md
	@$(ENGINE) build --tag $(IMAGE) $(ARGS) .

image-test: image .venv/ready-dev ## build the image, and try it in containers
	@TEST_IMAGE=$(IMAGE) TEST_ENGINE='$(ENGINE)' $(BIN)/python -m pytest -q tests/deploy

lock: .venv/ready-dev ## pin the newest packages anew
	@.ci/lock

clean: ## remove .venv and caches; memory and history in .everturn stay
	@rm -rf .venv .venv-lowest .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage server/web/node_modules

server/web/node_modules/.package-lock.json: server/web/package-lock.json
	@cd server/web && npm ci --silent

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Everturn needs Python 3.11 or newer: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }

.venv/ready: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing the locked packages …"
	@$(PIP) install --no-deps --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/ready-dev: requirements-dev.lock .venv/ready
	@echo "Installing the packages of tests and checks …"
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
