# The things one does here; `make` alone lists them. Windows: run the commands below by hand.
PYTHON ?= python
# Everything that needs a server, a cluster or a browser, or takes long, is left to `make test`.
FAST = not slow and not store and not cluster and not browser

.PHONY: help install fast test lint docs bench

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install:  ## install the package with all that development takes
	$(PYTHON) -m pip install -e '.[dev]'

fast:  ## run the tests that need nothing but files
	$(PYTHON) -m pytest -m "$(FAST)"

test:  ## run all tests
	$(PYTHON) -m pytest

lint:  ## check style, format and types
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

docs:  ## write schemas/ anew, run the code of README.md and docs/, build the site
	$(PYTHON) schemas/export.py
	$(PYTHON) -m pytest tests/test_docs.py tests/test_schemas.py
	$(PYTHON) -m mkdocs build --strict

bench:  ## measure conversions beside other ways, on this machine
	$(PYTHON) -m benchmarks.run
