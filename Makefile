# Newcomers: `make demo`, then `make ui`. Developers: `make check test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test slow ui check format audit lock clean

demo: $(INSTALLED)
	$(BIN)/finembed demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

ui: $(INSTALLED)
	$(BIN)/finembed ui

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Known vulnerabilities of what is locked; asks the network, so nothing else waits for it.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit \
	  || { echo "make audit needs the network: nothing was looked at"; exit 2; }
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement requirements.lock \
	  || { echo "vulnerable versions stand above, or the advisories could not be reached"; exit 2; }

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "finembed needs Python 3.11 or later: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(INSTALLED)

# After a change of the ranges in pyproject.toml.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0
	build/lock/bin/python -m pip install --quiet ".[dev]"
	build/lock/bin/python -m pip freeze --exclude finembed --exclude pip | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
