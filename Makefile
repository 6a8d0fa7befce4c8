# Seedbed. `make` alone prints this help.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
AUDIT := pip-audit==2.10.1
TEST_PROCESSES ?= 2
PIP := $(BIN)/pip --disable-pip-version-check --quiet install

.DEFAULT_GOAL := help
.PHONY: help setup browser demo test check fix serve bench fuzz load results chaos up observe drill down audit constraints

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (about two minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; Seedbed needs Python >= 3.11; run make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --constraint constraints.txt torch
	@$(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP) ## install everything into .venv

demo: $(STAMP) ## run a real sweep on this machine and print its report (ARGS=--keep leaves the service up)
	@$(BIN)/seedbed demo $(ARGS)

browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; } \
	  || echo "no Chromium here and no right to install it: the browser tests will be skipped"

test: $(STAMP) browser ## run every test
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile -m "not alone" $(ARGS) || test $$? -eq 5
	@$(BIN)/python -m pytest -m alone $(ARGS) || test $$? -eq 5

check: $(STAMP) ## ruff, mypy strict and the import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(STAMP) ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

serve: $(STAMP) ## start the embedded service on this machine
	@$(BIN)/seedbed serve $(ARGS)

bench: $(STAMP) ## measure the engine and its baselines on this machine; writes docs/bench.md (ARGS=--quick)
	@$(PIP) --constraint constraints.txt --editable '.[dev,bench]'
	@$(BIN)/seedbed bench $(ARGS)

fuzz: $(STAMP) ## generated requests against the API by its description; writes docs/results/fuzz.md (ARGS="--requests 500")
	@$(BIN)/python -m tests.fuzz $(ARGS)

load: $(STAMP) ## 200 clients for five minutes against a served Seedbed; writes docs/results/load.md (ARGS="--seconds 20")
	@$(BIN)/python -m tests.load $(ARGS)

results: $(STAMP) ## run the studies of docs/results, or go on with them (hours; ARGS="small/table1 --minutes 30")
	@$(BIN)/python -m service.study $(ARGS)

chaos: $(STAMP) ## shoot at a sweep with kill -9 and worse; writes docs/results/chaos.md (ARGS="--seed 1 --faults 30")
	@$(BIN)/python -m tests.chaos $(ARGS)

up: ## the whole service under docker compose: PostgreSQL, Redis, a Ray cluster, API, dispatcher (docs/deployment.md)
	@$(PYTHON) deploy/make_env.py
	@docker compose build
	@docker compose up --detach --wait $(ARGS)
	@docker compose ps
	@echo "Seedbed listens on http://$$(docker compose port api 8321); the admin's key is SEEDBED_KEY in .env"

observe: ## what `make up` started, with Prometheus and Grafana beside it (their images are fetched)
	@grep -q '^METRICS_KEY=.' .env || { umask 077; docker compose run --rm --no-deps migrate \
	  seedbed keys create --name prometheus --owner prometheus --scope read | sed 's/^/METRICS_KEY=/' >> .env; }
	@docker compose --profile observe up --detach --wait
	@echo "Grafana listens on http://$$(docker compose port grafana 3000); user admin, GRAFANA_PASSWORD in .env"

drill: $(STAMP) ## shoot at every service of `make up` in turn while a sweep runs; nothing may be lost
	@$(BIN)/python -m deploy.drill $(ARGS)

down: ## stop what `make up` started; sweeps stay (ARGS=--volumes forgets them)
	@docker compose --profile '*' down $(ARGS)

audit: ## ask the advisory services about every version in constraints.txt (needs a network that reaches them)
	@test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip --disable-pip-version-check --quiet install $(AUDIT); }
	@.audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off $(ARGS) \
	  || { echo "not clean: a version above is vulnerable, or nobody could be asked about it"; exit 1; }

constraints: $(STAMP) ## write down the versions that are installed now
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | sed '/^torch==/s/+.*//'; } > constraints.new && mv constraints.new constraints.txt
