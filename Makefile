# Everything that is done with this repository. `make help` lists it.

SHELL := /bin/sh
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed

# Several at a time, each with a broker of its own; on one that is given they would take each other's messages.
BESIDE = $(if $(WORKER_TEST_AMQP_URL),,--numprocesses 3 --dist worksteal)

# Compile once, not in each of the hundreds of processes that the tests start.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install run test test-fast test-lowest mutants chaos check bench bench-limits docs lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Create .venv from the lock file

$(INSTALLED): requirements.lock pyproject.toml deploy/install.sh worker/launcher.py worker/testing/pytest_plugin.py
	@sh deploy/install.sh
	@touch $@

run: install  ## Watch messages travel through a topology on a real RabbitMQ
	@$(PYTHON) -m examples.demo

test: install  ## Run all tests, on a real RabbitMQ; those that measure time alone, and once more when they fail
	@status=0; \
	$(PYTHON) -m pytest -m "not timing" $(BESIDE) || status=$$?; \
	$(PYTHON) -m pytest -m timing --reruns 1 -raR || { timing=$$?; [ $$timing -le $$status ] || status=$$timing; }; \
	exit $$status

test-fast: install  ## Run the tests that need no broker, no database server and no process of their own
	@$(PYTHON) -m pytest -m "not external and not timing" --numprocesses 2 --dist worksteal

test-lowest: install  ## Run the tests of `make test-fast` on the lowest versions that pyproject.toml allows
	@mkdir -p var && .venv/bin/uv pip compile --quiet --resolution lowest-direct --output-file var/lowest.txt pyproject.toml
	@.venv/bin/uv venv --quiet --clear var/lowest
	@.venv/bin/uv pip install --quiet --python var/lowest --override var/lowest.txt --editable '.[dev]'
	@var/lowest/bin/python -m pytest -m "not external and not timing" --numprocesses 2 --dist worksteal

mutants: install  ## Change the hot modules in small ways, and see that a test notices each; MUTANTS="--sample 3" for fewer
	@PYTHONPATH=tests $(PYTHON) -m mutants $(MUTANTS)

chaos: install  ## Send odd messages through a worker whose actions end oddly; CHAOS="--messages 500" for fewer
	@PYTHONPATH=tests $(PYTHON) -m chaos $(CHAOS)

check: install  ## Check format, lint, types and import arrows
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: install  ## Measure throughput and CPU time beside plain aio-pika
	@$(PYTHON) -m benchmarks

bench-limits: install  ## Measure limits over four workers: what the service sees, the rate that is used, fairness
	@$(PYTHON) -m benchmarks.limits

docs: install  ## Write docs/settings.md and the map in docs/architecture.md from the code
	@.venv/bin/orchesty-worker settings > docs/settings.md
	@$(PYTHON) tests/support/rooms.py

lock: install  ## Resolve the dependencies and write the lock file
	@$(PYTHON) -m piptools compile --quiet --strip-extras --upgrade --no-header --no-annotate \
		--no-emit-index-url --no-emit-trusted-host --no-emit-options --no-emit-find-links --allow-unsafe \
		--extra dev --output-file requirements.lock pyproject.toml

clean:  ## Remove what the other targets made
	@rm -rf .venv var dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
