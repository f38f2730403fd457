# Two commands on a machine with only Python, pip and make:
#   make demo   creates the environment and runs the main job
#   make test   creates the environment and passes the tests
# Everything lands in .venv; constraints.txt pins what is installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE = 1

.PHONY: demo test lint bench clean

demo: $(VENV)/.demo
	$(BIN)/python recipes/demo/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.demo
	$(BIN)/python recipes/benchmarks/bm25.py
	$(BIN)/python recipes/benchmarks/dense.py

clean:
	rm -rf $(VENV) .demo

# torch first and alone, so that the pinned CPU build satisfies whatever asks for torch later.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,openvino,test]"
	touch $@
