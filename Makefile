# Every target sets up what it needs: a virtual environment, the pinned packages, this checkout.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test check selftest bench fuzz picture clean

# one real session, by the commands that an agent would type
demo: $(INSTALLED)
	$(BIN)/linbench start --agent demo --profile smoke
	$(BIN)/linbench edit --region attention --content-file templates/attention/linear.py
	$(BIN)/linbench test
	$(BIN)/linbench submit 1

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sandbox $(TORCH_FREE)

# the part of harness that the CLI may load
TORCH_FREE := harness/isolation harness/run_sandbox.py harness/launch.py harness/stages harness/faults.py harness/metrics.py harness/machine.py \
	harness/profiles harness/estimates.py harness/watch.py harness/worker_output.py harness/run_config.py harness/run_folder.py harness/files.py harness/agent_traceback.py \
	harness/kernel_cache.py harness/bytecode.py harness/lazy_fla.py harness/bench/comparison.py harness/preflight/report.py harness/scoring/report.py harness/data

# hostile edits against this machine's walls; `make test` leaves variations of some of them out
selftest: $(INSTALLED)
	$(BIN)/linbench selftest

bench: $(INSTALLED)
	$(BIN)/python -m harness.bench.startup
	$(BIN)/python -m harness.bench.imports
	$(BIN)/python -m harness.bench.fla_cpu
	$(BIN)/python -m harness.bench.scoring
	$(BIN)/python -m harness.bench.isolation
	$(BIN)/linbench bench throughput --profile smoke

# random input without end: 100,000 edits, 10,000 files; SEED=n takes others
fuzz: $(INSTALLED)
	$(BIN)/python tests/fuzz/edits.py --seed $(or $(SEED),0)
	$(BIN)/python tests/fuzz/loaders.py --seed $(or $(SEED),0)

# README's picture, drawn from a real session
picture: $(INSTALLED)
	PATH=$(BIN):$$PATH $(BIN)/python docs/picture.py

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
