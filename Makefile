# Each target does all the set-up it needs: Python 3.11, make and git are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check conformance bench soak restarts overload simulate fuzz fuzz-full pruning format lock types clean wheel wheel-test deb deb-test systemd-test

demo: $(VENV)/run  ## start on the embedded paper exchange, post a signed alert, show its order (ONCE=1: then stop)
	$(BIN)/fks demo $(if $(ONCE),--once)

test: $(VENV)/dev  ## the whole test suite; one worker more than there are cores, for many tests wait
	$(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --dist worksteal $(ARGS)

check: $(VENV)/dev types  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cd build/types && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p fks
	PYTHONPATH=build/types $(BIN)/lint-imports

conformance: $(VENV)/dev  ## the same calls through ccxt on asyncio and on trio, for every exchange (about a minute)
	PYTHONPATH=tests $(BIN)/python -m conformance $(IDS)

bench: $(VENV)/run  ## speed and memory next to upstream ccxt and to a plain reference service (about a minute)
	$(PIP) install --require-hashes -r requirements-bench.lock
	$(BIN)/fks bench $(ARGS)

soak: $(VENV)/dev  ## 200 kills of the real daemon under load (about ten minutes)
	PYTHONPATH=tests $(BIN)/python -m crash --rounds $(or $(ROUNDS),200)

restarts: $(VENV)/dev  ## 30 restarts, one every two seconds, under 50 alerts a second (about a minute)
	PYTHONPATH=tests $(BIN)/python -m crash.restarts --restarts $(or $(RESTARTS),30)

overload: $(VENV)/dev  ## floods of the real daemon: replies, the slowest of them, memory (about four minutes)
	PYTHONPATH=tests $(BIN)/python -m crash.overload --seconds $(or $(SECONDS),30)

simulate: $(VENV)/dev  ## seeded executions of the whole daemon; SEEDS=1000000 for the night
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(or $(SEEDS),10000) --jobs 2

fuzz: $(VENV)/dev  ## malformed alerts, a flood for the door, odd questions for the desk (a minute each; SECONDS=... for the alerts)
	PYTHONPATH=tests $(BIN)/python -m fuzz parser --seconds $(or $(SECONDS),60)
	PYTHONPATH=tests $(BIN)/python -m fuzz door --bodies $(or $(BODIES),30000) --connections $(or $(CONNECTIONS),10000)
	PYTHONPATH=tests $(BIN)/python -m fuzz desk

fuzz-full: $(VENV)/dev  ## a million malformed bodies and 100,000 hostile connections on the real daemon (about 25 minutes)
	PYTHONPATH=tests $(BIN)/python -m fuzz door --bodies 1000000 --connections 100000
	PYTHONPATH=tests $(BIN)/python -m fuzz door --bodies 20000 --connections 2000 --default-rate

pruning: $(VENV)/dev  ## commits of an old journal of 200,000 alerts, with and without the janitor at work (several minutes)
	PYTHONPATH=tests $(BIN)/python -m pruning $(ARGS)

format: $(VENV)/dev
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(VENV)/dev  ## pin what pyproject.toml asks for, with hashes
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra build --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra build --extra bench pyproject.toml -c requirements.lock -o requirements-bench.lock

wheel: $(VENV)/dev  ## dist/*.whl, which `pipx install` takes
	rm -rf build/lib build/bdist.* dist/*.whl
	$(BIN)/uv build -q --wheel --no-build-isolation --python $(BIN)/python -o dist

wheel-test: wheel  ## the wheel by pipx into an empty home, and the demo from there (about a minute)
	rm -rf build/home && mkdir -p build/home
	HOME=$(CURDIR)/build/home $(BIN)/uv tool run -q pipx==1.18.4 install --python $(abspath $(BIN)/python) dist/*.whl
	cd / && HOME=$(CURDIR)/build/home $(CURDIR)/build/home/.local/bin/fks demo --once

deb: wheel  ## dist/*.deb for this machine's Debian 12 or what has its Python: with its own packages under /opt/fks (needs debhelper)
	rm -f dist/*.deb
	debian/rules clean
	debian/rules binary

systemd-test: deb  ## the package under a booted systemd (as root, needs mmdebstrap and systemd-container; about two minutes)
	tests/package/booted.sh dist/fks-execution_*.deb

deb-test: deb  ## install, upgrade, remove and purge the package in a clean root (as root, needs mmdebstrap; about two minutes)
	tests/package/clean_root.sh dist/fks-execution_*.deb

types:  # a link tree in which mypy and import-linter see `fks` as it is installed
	@rm -rf build/types && mkdir -p build/types/fks
	@ln -s $(CURDIR)/daemon/* build/types/fks/ && ln -s $(CURDIR)/actors build/types/fks/actors

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
