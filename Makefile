# The two commands: `make search` runs the main job, `make test` everything that must hold.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: search test format install clean

search: $(INSTALLED)
	$(BIN)/nas-ray search classification --device ethos-u85-2048 --trials 60 \
		--storage runs/digits --seed 0 --constraint 'latency_ms<=0.06'

test: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nas_ray needs Python 3.11 or newer; pass one as PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[cluster,dev,ethos-u,onnx]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
