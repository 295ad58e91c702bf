# The two commands are `make demo` and `make test`; `make run` stays up. All need python3 >= 3.11 with venv, and git.
PY := .venv/bin/python
# More than cores: many tests wait for something, few compute.
TEST_WORKERS ?= 3
PYTEST := $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal
SOURCES := ledger customers payments workers projections simulation api tallystick migrations tests

.PHONY: help demo run test test-long check bench mutation clean lock runtime dev books counterparts

help:
	@echo "make demo       one credit's whole life, on this machine, then exit"
	@echo "make run        the same services, staying up; prints the address of the page"
	@echo "make test       everything this machine can run, at most 15 minutes on two cores"
	@echo "make test-long  the tests that take minutes each"
	@echo "make check      formatting, lint, types, import rules, dependencies, SQL"
	@echo "make bench      the ledger's writer against others, in the same run"
	@echo "make mutation   breaks the ledger's rules in every way, and counts what their tests notice (ten minutes)"
	@echo "make clean      removes environments and caches; data folders stay"

demo: runtime books
	@$(PY) -m tallystick demo

run: runtime
	@$(PY) -m tallystick run

bench: runtime
	@$(PY) -m tallystick bench ledger

test: dev counterparts
	@$(PYTEST) -m "not long"

test-long: dev counterparts
	@$(PYTEST) -m long

check: dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright
	.venv/bin/lint-imports --no-cache
	.venv/bin/deptry .
	.venv/bin/sqlfluff lint migrations

# In an environment and a copy of its own: what is broken there nobody else sees.
mutation: dev
	@requirements/prepare.sh mutation
	@nice $(PY) -m tests.support.mutation $(CURDIR)/.venv-mutation/bin/mutmut

lock: dev
	@requirements/lock.sh

runtime:
	@requirements/prepare.sh runtime

dev: runtime
	@requirements/prepare.sh dev

# A bookkeeper's program, in an environment of its own, that checks our books from outside; without it they go unchecked.
books:
	@requirements/prepare.sh books || test -z "$$TALLYSTICK_REQUIRE_ALL"

# Programs that tests compare us with. What cannot be had here is listed by the test run as "not run".
counterparts: books
	@requirements/counterparts.sh || test -z "$$TALLYSTICK_REQUIRE_ALL"

clean:
	rm -rf .venv .venv-books .venv-mutation .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist htmlcov .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
