PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := cpu,hunt,jobqueue,train,simulation,dev

.PHONY: demo test lint clean

# The environment is rebuilt when the versions it is made of change.
$(VENV)/.ready: constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

test: $(VENV)/.ready lint
	$(BIN)/python -m pytest

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo
