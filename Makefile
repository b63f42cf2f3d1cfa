# One command each. All of them work in a fresh clone with nothing but Python 3.11+, make and a C compiler.
#   make up ARGS="myapp:app --port 80"         make test ARGS="-k replay"

VENV := .venv
BIN  := $(VENV)/bin
ARGS :=
# As root: nothing. Otherwise sudo, where there is one. (ip, TAP devices and namespaces need root.)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: help up down test check bench clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | while IFS='|' read -r left right; do printf '%-14s%s\n' "$$left" "$$right"; done

up: $(VENV)/installed root ## install what is missing, then `netstack up $(ARGS)`, through sudo if need be
	@exec $(SUDO) $(BIN)/netstack up $(ARGS)

down: $(VENV)/installed root ## remove the TAP and namespace that a killed `netstack up` left behind, and nothing else
	@$(SUDO) $(BIN)/netstack down

test: check ## check, then every test; those with a TAP run in network namespaces of their own
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/installed-dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(VENV)/installed-bench ## requests per second and bulk rates, beside the kernel's own TCP; also kept in bench.json
	@$(SUDO) $(BIN)/python tools/bench.py $(ARGS)

clean: ## remove the virtual environment and everything that tools have cached
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	@find netstack asgi tests tools -name __pycache__ -prune -exec rm -rf {} +

.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || [ -n "$(SUDO)" ] || \
	  { echo "netstack: creating a TAP needs root and there is no sudo: run this as root, or without root: unshare -Urn $(BIN)/netstack up" >&2; exit 1; }

# A stamp for each set of extras: installed again when pyproject.toml changes.
$(VENV)/installed: pyproject.toml
	@tools/venv.sh $(VENV)
	@touch $@

$(VENV)/installed-%: pyproject.toml
	@tools/venv.sh $(VENV) $*
	@touch $@ $(VENV)/installed
