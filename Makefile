# The two that a newcomer needs: `make demo` and `make test`. Both set up everything they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := operator:.
export PYTHONUNBUFFERED := 1
# numpy's threads would keep an unprivileged process out of its network namespace.
export OPENBLAS_NUM_THREADS := 1
STAMP := $(VENV)/.installed

.PHONY: help setup demo test unit check format bench statistics soak fuzz image release test-presets lint-chart kind lock generate clean

help:  ## Show what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "installing Python packages into $(VENV) (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)

setup: $(STAMP)  ## Install the Python packages, at the versions and hashes of requirements.lock.

demo: $(STAMP)  ## Watch a model being promoted, a bad one caught, and an on-call edit (KEEP=1 leaves it running).
	@$(BIN)/python -m local.build kube prometheus helm
	@$(BIN)/python -m local.demo $(if $(KEEP),--keep)

test: $(STAMP)  ## Run all tests, on a real control plane, Traefik, Envoy Gateway and Prometheus (ARGS for some of them).
	@$(BIN)/python -m local.build kube prometheus promtool helm envoy-gateway kubeconform checkov
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@echo "first the tests that need no cluster, on all cores; then those that do, one after the other"
	@$(BIN)/python -m pytest -n auto -q -m "not cluster"
	@$(BIN)/python -m pytest -m cluster
endif

unit: $(STAMP)  ## Run the quick tests that need no cluster, in about half a minute.
	@$(BIN)/python -m pytest -n auto -q -m "not cluster and not slow" tests/core tests/engine tests/api tests/metrics tests/routing tests/cli $(ARGS)

check: $(STAMP)  ## Lint, types, layers, and that generated files are up to date.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m modelrollout.api.crd --check
	@$(BIN)/python -m modelrollout.api.reference --check
	@$(BIN)/python -m modelrollout.metrics.servers.page --check

format: $(STAMP)  ## Format the code.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)  ## Measure how fast edits and bad samples reach the route, and what it costs.
	@$(BIN)/python -m local.build kube
	@$(BIN)/python -m local.bench $(ARGS)

statistics: $(STAMP)  ## Simulate how often the gates are wrong and how soon right, beside other rules; writes docs/statistics.md.
	@$(BIN)/python -m local.statistics $(ARGS)

soak: $(STAMP)  ## Let rollouts come and go for an hour and judge what grows, sticks or goes stale (SOAK_MINUTES=60).
	@$(BIN)/python -m local.build kube
	@$(BIN)/python -m local.soak $(ARGS)

fuzz: $(STAMP)  ## Fuzz parsers and decisions, guided by coverage (FUZZ_SECONDS=60 for each target).
	@$(BIN)/python -m tests.fuzz $(ARGS)

image: $(STAMP)  ## Build the image with docker, podman or buildah (BASE=debian: from Debian packages; IMAGE_ARGS for the builder).
	@$(BIN)/python -m local.release.image $(if $(BASE),--base $(BASE)) -- $(IMAGE_ARGS)

release: $(STAMP)  ## Put wheel, sdist, chart, bill of materials, licences and check sums into dist/.
	@$(BIN)/python -m local.release

test-presets: $(STAMP)  ## Ask gates of real model servers: FastAPI with the instrumentator, KServe, MLServer, BentoML, Ray Serve.
	@$(BIN)/python -m local.build kube prometheus $(addprefix presets/,bentoml fastapi kserve mlserver ray-serve)
	@MODELROLLOUT_PRESET_TESTS=1 $(BIN)/python -m pytest -v tests/presets $(ARGS)

lint-chart: $(STAMP)  ## Lint the chart and the Dockerfile with helm, kubeconform and checkov.
	@$(BIN)/python -m local.build kube prometheus helm kubeconform checkov
	@$(BIN)/python -m pytest -q tests/charts/test_lint.py tests/charts/test_schemas.py tests/charts/test_checkov.py $(ARGS)

generate: $(STAMP)  ## Write crds/, the chart's copy of them, docs/api.md and docs/presets.md from models and tables.
	@$(BIN)/python -m modelrollout.api.crd --write
	@$(BIN)/python -m modelrollout.api.reference --write
	@$(BIN)/python -m modelrollout.metrics.servers.page --write

kind: $(STAMP)  ## The demo on a cluster of kind's (needs docker, kind, kubectl, helm; ARGS=--dry-run prints what it does).
	@$(BIN)/python -m local.kind $(ARGS)

lock: $(STAMP)  ## Renew requirements.lock from pyproject.toml (needs uv).
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --all-extras --upgrade --quiet \
	  pyproject.toml -o requirements.lock
	cd local/tools/checkov && uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --upgrade --quiet requirements.in -o requirements.lock
	for server in local/tools/presets/*; do (cd $$server && uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --upgrade --quiet requirements.in -o requirements.lock); done

clean:  ## Remove what was made in this folder; built programs stay in the user's cache.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
