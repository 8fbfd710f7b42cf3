PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := cpu,hunt,jobqueue,train,simulation,docs,dev

.PHONY: demo test faults docs test-install test-lowest test-slurm test-gpu-wheel test-dask-awkward lint gpu-wheels gpu-rehearsal clean

# The environment is rebuilt when the versions it is made of change.
$(VENV)/.ready: constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python examples/demo.py $(if $(EVENTS),--events $(EVENTS))

# One test process a core, so one thread each.
test: $(VENV)/.ready lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

# A real SLURM of one node on this machine: apt-get install slurm-wlm munge, and root.
test-slurm: $(VENV)/.ready
	$(BIN)/python -m pytest -m slurm tests/clusters

# The site, in docs/_build/html; a warning is an error.
docs: $(VENV)/.ready
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Cuts, flips and kills of every file that a run reads or writes, many of each; `make test` does a few.
faults: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.faults.table 500 --output benchmarks/results/faults.json

# Fresh environments: every printed line that installs, every extra of the wheel, and what then has to work. Half an hour
# and a package index; uv makes it quicker where it is installed.
test-install: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m install tests/install

# The oldest versions that pyproject.toml allows.
LOWEST := .venv-lowest
$(LOWEST)/.ready: pyproject.toml
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python \
		--extra cpu --extra hunt --extra jobqueue pyproject.toml --output-file $(LOWEST)/lowest.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --requirement $(LOWEST)/lowest.txt pytest pytest-timeout
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --editable .
	touch $@

test-lowest: $(LOWEST)/.ready
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -W default tests/constituents tests/embedding tests/bumphunt/test_background.py \
		tests/hunt/test_histogram.py tests/processing tests/report tests/commands/test_command_line.py -k "not scripts"

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(git ls-files 'jepa_coffea/*.py' 'processors/*.py' 'training/*.py' 'examples/*.py' 'benchmarks/*.py')

# The GPU package excludes the CPU package, so that it needs an environment of its own.
.venv-gpu/.ready: constraints.txt
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --constraint constraints.txt onnxruntime-gpu numpy onnx pydantic pytest
	touch $@

test-gpu-wheel: .venv-gpu/.ready
	.venv-gpu/bin/python -m pytest tests/gpu_wheel tests/encoder --ignore tests/encoder/test_weaver.py

# dask-awkward pins an older dask than dask-cuda takes.
.venv-dask-awkward/.ready: pyproject.toml
	test -x .venv-dask-awkward/bin/python || $(PYTHON) -m venv .venv-dask-awkward
	.venv-dask-awkward/bin/python -m pip install --quiet '.[cpu,dask-awkward]' 'coffea[dask-awkward]' pytest
	touch $@

test-dask-awkward: .venv-dask-awkward/.ready
	.venv-dask-awkward/bin/python -m pytest tests/dask_awkward

# What a machine with a GPU and no network lacks, for benchmarks/gpu_day.sh.
gpu-wheels: $(VENV)/.ready
	$(BIN)/python -m benchmarks.gpu.wheels

gpu-rehearsal: $(VENV)/.ready
	PYTHON=$(BIN)/python bash benchmarks/gpu_day.sh --rehearse

clean:
	rm -rf $(VENV) .venv-gpu .venv-dask-awkward $(LOWEST) demo docs/_build docs/generated
