# Commands of tritoninit.  Each sets up .venv with pinned packages first; `gpu-check` uses PYTHON
# as it is, and downloads nothing.
#
#   make demo        build a Llama-style model from meta, print its plan, check a sample of it
#   make test        all tests; the Triton kernels run in Triton's interpreter, and their PTX and some
#                    of their AMD assembly in a machine
#   make lint        ruff and mypy
#   make battery     statistical tests of 2^34 normals and all streams of words, some 7 minutes
#   make accuracy    the errors of the float32 samplers over all 2^32 words, some 10 minutes
#   make bench       the benchmarks, into RESULTS
#   make mutants     break the code in many ways and see that the tests notice (some minutes)
#   make ptx         conformance of the kernels' PTX for sm_80, sm_90 and sm_100, and the benchmarks
#                    on it, as on a GPU (some 12 minutes)
#   make amd         conformance of the kernels' assembly for gfx90a, gfx942 and gfx950 (some 8 minutes)
#   make gpu-check   on a CUDA machine: conformance on the GPU, then the benchmarks
#   make clean       remove .venv, caches and build products

PYTHON ?= python3
RESULTS ?=
BIN := .venv/bin

# torch's exact version is pinned: a looser one fetches gigabytes of another release's packages.
RUN_PACKAGES := torch==2.13.0 triton==3.7.1 numba==0.68.1 numpy==2.4.6 tqdm==4.70.1 rich==15.0.0 \
	setuptools==84.2.1
DEV_PACKAGES := scipy==1.17.1 mpmath==1.3.0 pytest==9.2.0 hypothesis==6.170.15 \
	matplotlib==3.11.2 ruff==0.17.6 mypy==2.4.1 \
	transformers==5.23.0 safetensors==0.8.0 tokenizers==0.23.3 huggingface_hub==2.4.0

INSTALL := -m pip install --quiet --disable-pip-version-check
INSTALL_SELF := $(INSTALL) --no-deps --no-build-isolation --editable .

.PHONY: demo test lint accuracy battery bench mutants ptx amd gpu-check clean
.NOTPARALLEL:

demo: .venv/run
	@echo "== demo: a Llama-style model from meta"
	$(BIN)/tritoninit demo

test: .venv/dev
	@echo "== tests"
	$(BIN)/python -m pytest tests --ignore=tests/conformance
	@echo "== conformance: oracle, numpy, numba and Triton's interpreter, bit for bit"
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/conformance
	@echo "== conformance: the kernels' PTX for sm_90, run by a machine"
	PTX=90 $(BIN)/python -m pytest tests/conformance
	@echo "== conformance: some of the kernels' assembly for gfx942, run by a machine"
	AMD=942 $(BIN)/python -m pytest tests/conformance/test_launched.py tests/conformance/test_digest.py

lint: .venv/dev
	@echo "== lint: ruff check, ruff format, mypy"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy tritoninit

battery: .venv/dev
	@echo "== battery"
	$(BIN)/python -m tests.battery

accuracy: .venv/dev
	@echo "== accuracy"
	$(BIN)/python -m tests.accuracy.sweep --out tests/accuracy/sweep.json

bench: .venv/dev
	@echo "== benchmarks"
	benchmarks/run $(BIN)/python "$(RESULTS)"

mutants: .venv/dev
	@echo "== mutants"
	$(BIN)/python -m tests.mutation

ptx: .venv/dev
	@echo "== PTX"
	PTX=80 $(BIN)/python -m pytest tests/conformance
	PTX=90 ESTIMATES=low $(BIN)/python -m pytest tests/conformance
	PTX=90 ESTIMATES=high $(BIN)/python -m pytest tests/conformance
	PTX=100 $(BIN)/python -m pytest tests/conformance
	@echo "== the benchmarks' way on a GPU"
	PTX=90 $(BIN)/python -m tests.rehearsal "$$(mktemp -d)"

amd: .venv/dev
	@echo "== AMD assembly"
	AMD=942 $(BIN)/python -m pytest tests/conformance
	AMD=942 ESTIMATES=low $(BIN)/python -m pytest tests/conformance
	AMD=942 ESTIMATES=high $(BIN)/python -m pytest tests/conformance
	AMD=90a $(BIN)/python -m pytest tests/conformance
	AMD=950 $(BIN)/python -m pytest tests/conformance

gpu-check:
	@echo "== gpu-check with $(PYTHON)"
	$(PYTHON) benchmarks/requirements.py
	$(PYTHON) $(INSTALL_SELF)
	@echo "== conformance on the GPU"
	$(PYTHON) -m pytest -W default $$($(PYTHON) -c 'import xdist; print("-n 8")' 2>/dev/null) \
		tests/conformance tests/golden
	@echo "== benchmarks"
	benchmarks/run $(PYTHON) "$(RESULTS)"

clean:
	@echo "== clean"
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find benchmarks kernels tests tritoninit -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/python: Makefile
	@echo "== .venv from $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or later is needed, PYTHON is " + sys.version)'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/python pyproject.toml
	@echo "== installing $(RUN_PACKAGES)"
	$(BIN)/python $(INSTALL) $(RUN_PACKAGES)
	$(BIN)/python $(INSTALL_SELF)
	@touch $@

.venv/dev: .venv/run
	@echo "== installing $(DEV_PACKAGES)"
	$(BIN)/python $(INSTALL) $(DEV_PACKAGES)
	@touch $@
