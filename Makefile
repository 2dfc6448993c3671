# Everything a person or CI runs. `make help` lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
export PYTHON
# Newer ONNX Runtimes report sessions to their maker unless told not to.
export ORT_DISABLE_TELEMETRY := 1
# Container images often forbid Python to keep what it compiled; each of our many processes would
# then compile every import anew, which costs more than starting it.
unexport PYTHONDONTWRITEBYTECODE

ONLY ?=
TESTS ?= tests
# One more than two cores: some tests wait for a time that a rule names.
WORKERS ?= 3
SECONDS ?= 60
FOR ?= aarch64
PYTHON_VERSION ?= 3.10
EXTRAS ?= rules foxglove video mcap tensorrt
HOUSE ?= .fleetward/wheelhouse
STAMP := .venv/setup.stamp
PROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)

.PHONY: help
help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(STAMP) ## make .venv with everything locked (quick when nothing changed)
	@:

$(STAMP): requirements.lock tools/uv.lock tools/ros2.lock tools/setup.sh tools/setup_sshd.sh tools/setup_ros2.sh $(PROJECTS)
	@sh tools/setup.sh

.PHONY: models
models: setup ## fetch the model releases that the demo and the tests roll out
	@.venv/bin/python -m examples.demo.releases

.PHONY: demo
demo: models ## three rollouts over five robots: promoted, promoted, taken back
	@.venv/bin/python -m examples.demo

.PHONY: up
up: setup ## the whole system on this machine, until Ctrl-C
	@.venv/bin/fleetward up

.PHONY: test
test: models ## run the tests (TESTS=tests/unit for a part, WORKERS=0 for one by one)
	@.venv/bin/python -m pytest -n $(WORKERS) --dist loadscope $(TESTS)

.PHONY: check
check: setup ## style, types, imports, subjects, sizes: all that needs no server
	@sh tools/check.sh

.PHONY: bench
bench: models ## measure (ONLY=core for one area)
	@.venv/bin/python -m tests.bench --only "$(ONLY)"

.PHONY: power-cut
power-cut: setup ## cut a robot's power around every operation on its files (needs root)
	@FLEETWARD_TEST_EVERY_CUT=1 .venv/bin/python -m pytest tests/faults/test_dead_at_every_step.py \
		tests/faults/test_dead_in_an_update.py

.PHONY: wheelhouse
wheelhouse: setup ## wheels for robots that have no internet (FOR=aarch64 PYTHON_VERSION=3.10)
	@sh tools/wheelhouse.sh "$(FOR)" "$(PYTHON_VERSION)" "$(HOUSE)" $(EXTRAS)

.PHONY: fuzz
fuzz: setup setup-uv ## fuzz the parsers of foreign bytes (SECONDS=60 for each, ONLY=manifest for one)
	@sh tools/fuzz.sh "$(SECONDS)" "$(ONLY)"

.PHONY: lock
lock: setup-uv ## write requirements.lock from every pyproject.toml (UPGRADE=1: newest)
	@UPGRADE="$(UPGRADE)" sh tools/lock.sh

.PHONY: setup-uv
setup-uv:
	@sh tools/setup.sh uv

.PHONY: clean
clean: ## remove what was built here (keeps .fleetward, where your models live)
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find libs services -name '*.egg-info' -prune -exec rm -rf {} +
	find . -name __pycache__ -prune -exec rm -rf {} +
