# Two commands on a machine with only Python, pip and make:
#   make demo   creates the environment and runs the main job
#   make test   creates the environment and passes the tests
# And a third: make docs builds the pages of docs/ into site/, to be opened in a browser.
# Everything lands in .venv; constraints.txt pins what is installed. What else continuous integration runs:
#   make test-avx2         the tests as on a CPU with AVX2 and no AVX512, with one thread
#   make test-lowest       with the lowest versions that pyproject.toml allows
#   make test-newest       with the newest of everything but torch; with TORCH=torch also of torch
#   make test-properties   the property tests, with more examples, from a seed that it prints (SEED=... gives one)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= -c constraints.txt
TORCH ?= -c constraints.txt torch
SEED ?= $(shell date +%s)
JOBS ?= auto
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
export HF_HUB_OFFLINE = 1

# What PyTorch, NumPy's BLAS and loops, MKL, oneDNN, FAISS, numba and Arrow are told, each in its own words.
AVX2 := ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=HASWELL MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 \
    NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" FAISS_SIMD_LEVEL=AVX2 ARROW_USER_SIMD_LEVEL=AVX2 \
    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx2 OMP_NUM_THREADS=1

# Several processes of tests on the same cores: PyTorch's threads sleep while they wait, instead of spinning.
SHARED_CORES := OMP_WAIT_POLICY=PASSIVE

.PHONY: demo docs test test-avx2 test-lowest test-newest test-properties lint bench wheel clean

demo: $(VENV)/.demo
	$(BIN)/python recipes/demo/demo.py

test: $(VENV)/.test
	$(SHARED_CORES) $(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs site
	@echo "site/index.html"

test-avx2: $(VENV)/.test
	$(AVX2) $(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

test-properties: $(VENV)/.test
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=nightly --hypothesis-seed=$(SEED) $(PYTEST)

test-newest:
	$(MAKE) test VENV=.newest CONSTRAINTS=

test-lowest: .lowest/.test
	$(SHARED_CORES) .lowest/bin/python -m pytest -n $(JOBS) $(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.demo
	$(BIN)/python recipes/benchmarks/bm25.py
	$(BIN)/python recipes/benchmarks/dense.py

# The wheel in an environment with nothing but what it asks for: mines, and draws the page whose files it carries.
wheel:
	rm -rf dist .wheel
	$(MAKE) .wheel/.torch VENV=.wheel
	.wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build
	.wheel/bin/python -m build
	.wheel/bin/python -m pip uninstall --quiet --yes build pyproject_hooks
	.wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cd .wheel && bin/hfneg mine ../recipes/demo/earthquakes --recipe bm25 --out mined
	cd .wheel && bin/hfneg recipes
	cd .wheel && bin/hfneg report mined

clean:
	rm -rf $(VENV) .newest .lowest .wheel .demo dist docs/more site jupyter_execute

# torch first and alone, so that the pinned CPU build satisfies whatever asks for torch later.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) $(CONSTRAINTS) -e ".[demo]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) $(CONSTRAINTS) -e ".[test]"
	touch $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) $(CONSTRAINTS) -e ".[docs]"
	touch $@

# Here torch comes without what it asks for: that would be there already, at versions that are not the lowest.
.lowest/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .lowest
	.lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(TORCH)
	.lowest/bin/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct -e ".[test]"
	touch $@
