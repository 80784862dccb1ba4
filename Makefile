# Two commands matter: `make run` and `make test`. Both install what they need, below this folder only
# (.venv, node_modules), except for the Debian packages that the tests need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UI := hmi/ui
UI_SOURCES := $(shell find $(UI) hmi/translations -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -name '*.mo' 2>/dev/null)
OPCUA_PEER := tests/opcua_server/node
# Modules are compiled once, not by each of the workers and each of the servers that the tests start.
PYTEST := env PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
ARGS ?=

.PHONY: help run install test lint types imports unit ui packages reference soak clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run $(UI)/dist/meta.json  ## the server with a simulated district beside it (Ctrl-C ends both)
	@exec $(BIN)/scada demo $(ARGS)

install: $(VENV)/.run $(UI)/dist/meta.json  ## the server and its pages, started by nobody

test: packages $(VENV)/.test $(UI)/dist/meta.json $(OPCUA_PEER)/node_modules/.installed  ## everything: lint, types, imports, unit, contract, system, browser
	@scripts/step collect $(PYTEST) --collect-only -q -m "not soak" & \
	scripts/step lint $(BIN)/ruff check . && scripts/step types $(BIN)/mypy && scripts/step imports $(BIN)/lint-imports && wait $$! \
		|| { status=$$?; wait; exit $$status; }
	@$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder -m "not soak" --durations=20 --durations-min=5 $(ARGS)  # twice the cores: many tests wait

lint: $(VENV)/.test  ## ruff
	@$(BIN)/ruff check .

types: $(VENV)/.test  ## mypy, strict
	@$(BIN)/mypy

imports: $(VENV)/.test  ## the architecture as import contracts
	@$(BIN)/lint-imports

unit: $(VENV)/.test  ## the quick tests only
	@$(PYTEST) -m "not system and not browser and not soak" $(ARGS)

soak: $(VENV)/.test $(UI)/dist/meta.json  ## the long tests
	@$(PYTEST) -m soak $(ARGS)

ui: $(UI)/dist/meta.json  ## the web pages' scripts and styles

reference: $(VENV)/.run  ## write the generated pages (settings, commands, schema)
	@$(BIN)/python scripts/reference.py

packages:  ## the Debian packages that the tests need (chromium, influxdb, libmodbus)
	@scripts/debian-packages.sh

clean:  ## remove what this file made, and the demo's data
	rm -rf $(VENV) $(UI)/node_modules $(UI)/dist $(OPCUA_PEER)/node_modules .cache demo-data test-artefacts

$(VENV)/bin/python:
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.run: setup.py pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the server (about a minute the first time)"
	@$(PIP) install --progress-bar on -c constraints.txt -e . | scripts/pip-progress
	@touch $@

$(VENV)/.test: setup.py pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the server and what its tests need"
	@$(PIP) install --progress-bar on -c constraints.txt -e .[test] | scripts/pip-progress
	@touch $(VENV)/.run $@

$(UI)/dist/meta.json: $(UI_SOURCES) | $(VENV)/.run
	@echo "building the web pages"
	@scripts/with-node $(VENV) npm --prefix $(UI) ci --no-audit --no-fund --loglevel=error
	@scripts/with-node $(VENV) npm --prefix $(UI) run --silent build
	@touch $@

$(OPCUA_PEER)/node_modules/.installed: $(OPCUA_PEER)/package-lock.json | $(VENV)/.run
	@echo "installing node-opcua, the independent OPC UA client of the tests"
	@scripts/with-node $(VENV) npm --prefix $(OPCUA_PEER) ci --no-audit --no-fund --loglevel=error
	@touch $@
