# The ways to run this repository. Every target first makes the environment that it needs (scripts/bootstrap): all it
# takes is a Python of 3.11, 3.12 or 3.13 and a package index. PYTHON=python3.12 chooses another one, with an
# environment of its own; ARGS="..." goes to the program that the target runs.
PYTHON ?=
ARGS ?=
BOUNDARY ?= raw
BOUNDARIES := $(if $(filter both,$(BOUNDARY)),raw plain,$(BOUNDARY))
VECTORS ?= $(wildcard $(or $(FVM_DATA),../shared)/vectors/fvm-nv18 tests/golden)
STATETESTS ?= $(addprefix $(or $(FVM_DATA),../shared)/vectors/,GeneralStateTests state_tests)
VENV := .venv$(if $(PYTHON),-$(patsubst python%,%,$(notdir $(PYTHON))))
RUN := $(VENV)/bin

# What Python has compiled is kept: without it each worker of the tests reads all of them anew, and each process that they
# start all of ours.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test oracles lint check first-node clients clients-foc explorer-test explorer-load soltests examples quickstart conformance golden-coverage oracle-diff oracle-fuzz oracle-vectors bench hops bench-store bridge crash crash-epochs gc-check lane migration parallel load long-life fuzz records streams labs statetest differential engines verify equality boot bundle engine bindings actors-page rpc-page cheatcodes-page cli-page api-page syscalls-page templates wheel wheels compiled interpreted supply-chain lock environment

help:
	@sed -n 's/^\([a-z-]*\): .*## /make \1|/p' Makefile | awk -F '|' '{ printf "%-21s %s\n", $$1, $$2 }'

demo: environment ## a contract and a native actor call each other on one machine
	@$(RUN)/hypervisor demo $(ARGS)

test: environment ## all tests but the long ones and those of `make oracles`, on every core; with ARGS slow ones, too
	@$(RUN)/python -m pytest -n logical --dist loadfile $(or $(ARGS),-m "not long and not oracle and not slow")

oracles: environment ## what `make test` leaves out for its length but a merge needs: slow tests, planted defects, endless programs, kills, all samples
	@$(RUN)/python -m pytest -n logical --dist worksteal -m "oracle and not long" $(ARGS)
	@$(RUN)/python -m pytest -n logical --dist loadfile -m "slow and not hypothesis and not sampled and not oracle and not long" $(ARGS)
	@FVM_SAMPLES=all $(RUN)/python -m pytest -n logical --dist loadfile -m "(hypothesis or sampled) and not oracle and not long" $(ARGS)

lint: environment ## format, lint, types, layers
	@$(RUN)/ruff format --check
	@$(RUN)/ruff check
	@$(RUN)/mypy
	@$(RUN)/lint-imports

check: lint test ## what each commit must pass; a merge needs `make oracles`, too

first-node: environment ## forge, cast and ethers against a node, on an official bundle where one is kept (needs Node.js)
	@scripts/first-node $(VENV) $(ARGS)

clients: environment ## real clients against fresh nodes, and a table of what was run (needs Node.js)
	@scripts/clients >/dev/null && scripts/clients tests/clients >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -m "" --ignore tests/clients/foc tests/clients $(ARGS)

clients-foc: environment ## Filecoin's onchain cloud on a node, from the deployment to a settled rail (needs Node.js, FVM_SUITES)
	@$(RUN)/python -m tests.soltests.folder pdp filecoin-pay filecoin-services fvm-solidity SessionKeyRegistry
	@scripts/clients tests/clients/foc >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -s -m "" tests/clients/foc $(ARGS)

explorer-test: environment ## the explorer in headless chromium (Debian's, or FVM_CHROMIUM); screenshots in build/explorer
	@EXPLORER_REQUIRED=1 $(RUN)/python -m pytest -q -m "" tests/explorer $(ARGS)

explorer-load: environment ## the pages of a chain of 100,000 blocks, each timed and measured; ARGS="--count 2000" is shorter
	@$(RUN)/python -m tests.explorer.large_run $(ARGS)

parallel: environment ## all vectors and golden cases with --parallel 2, and random blocks serially and in parallel; ARGS="--count 10000" is longer
	@$(RUN)/hypervisor conformance --parallel 2 $(VECTORS)
	@$(RUN)/python -m tests.parallel --count 500 $(ARGS)

soltests: environment ## public Solidity suites by `hypervisor test` beside forge (needs Node.js; suites in FVM_SUITES)
	@$(RUN)/python -m tests.soltests.folder
	@scripts/clients tests/soltests >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -m "" tests/soltests
	@$(RUN)/python -m tests.soltests $(ARGS)

quickstart: ## the README's quick start, with a node on port 8545
	@examples/quickstart.sh

examples: environment ## the examples, each with our own actors and with the official ones (in `make test` and `make oracles` too)
	@$(RUN)/python -m pytest -q --no-header examples $(ARGS)

bridge: environment ## filecoin-solidity's functions, each against the native call (needs Node.js); ARGS=--write renews the table
	@$(RUN)/python -m tests.integration.filecoin_solidity $(ARGS)
	@$(RUN)/python -m pytest -q -m "" tests/integration

conformance: environment ## the official message vectors and the golden ones, all of them; BOUNDARY=raw, plain or both
	@mkdir -p build
	@for boundary in $(BOUNDARIES); do \
		FVM_BOUNDARY=$$boundary $(RUN)/hypervisor conformance --json $(VECTORS) $(ARGS) \
			>build/conformance-$$boundary.jsonl || exit; \
	done
	@set -- $(BOUNDARIES:%=build/conformance-%.jsonl); [ -z "$$2" ] || { cmp "$$1" "$$2" && echo "$$1 and $$2 are equal"; }
	@FVM_BOUNDARY=$(firstword $(BOUNDARIES)) $(RUN)/python -m pytest -q tests/conformance

golden-coverage: environment ## golden vectors by network version, and by syscall and error number
	@$(RUN)/python -m tests.conformance.coverage

oracle-diff: environment ## make 20 golden vectors again with the reference and compare (needs Rust)
	@$(RUN)/python -m tests.conformance.oracle_diff $(ARGS)

oracle-fuzz: environment ## random syscalls and whole messages on the reference and on this machine; ARGS="--count 80000" is longer (needs Rust)
	@$(RUN)/python -m tests.conformance.oracle_fuzz $(ARGS)
	@$(RUN)/python -m tests.conformance.oracle_messages $(ARGS)

oracle-vectors: environment ## make the corpus of tipset vectors again, and vectors of messages, and have the reference answer them (needs Rust)
	@$(RUN)/python -m tests.conformance.tipset_corpus $(ARGS)

statetest: environment ## Ethereum's state tests, all that are here, with the cases of each fork and the slowest ones
	@$(RUN)/hypervisor statetest $(ARGS) $(STATETESTS)

differential: environment ## contracts on the EVM runtime and on the official EVM actor (needs an official bundle, Node.js)
	@corpus=$$(scripts/corpus) && $(RUN)/python -m tests.differential.corpus $$corpus
	@$(RUN)/python -m tests.differential $(ARGS)

verify: environment ## prove the arithmetic of compiled regions for all inputs (docs/verification.md)
	@$(RUN)/python -m tests.verification $(ARGS)

engines: environment ## generated programs on the EVM engines and on pyrevm; ARGS="--count 100000" is longer
	@$(RUN)/python -m tests.engines $(ARGS)

bench: environment ## speed, held against bench/targets.toml
	@$(RUN)/python -m bench $(ARGS)

hops: environment ## how long the way of a request is, counted in calls, held against bench/hops.toml; ARGS="--top 30" says of what
	@$(RUN)/python -m bench.hops $(ARGS)

bench-store: environment ## the store alone, up to 1,000,000 actors; ends with 1 where a message costs more there
	@$(RUN)/python -m bench store growth $(ARGS)

crash: environment ## a thousand kills, faults below RocksDB, failing writes; ARGS="--count 50" is shorter
	@$(RUN)/python -m tests.crash $(ARGS)

crash-epochs: environment ## two hundred kills of a network over 1,000 epochs; ARGS="--count 20" is shorter
	@$(RUN)/python -m tests.crash.epochs $(ARGS)

migration: environment ## a million actors become those of network version 29; ARGS="--count 50000" is shorter
	@$(RUN)/python -m tests.hypervisor.migration_run $(ARGS)

load: environment ## 200 clients at once, and a kill under that load; ARGS="--count 2000" is shorter
	@$(RUN)/python -m tests.localnet.load_run $(ARGS)

long-life: environment ## a node's day of a million transactions: memory and time a request; ARGS="--count 20000" is shorter
	@$(RUN)/python -m tests.localnet.long_life_run $(ARGS)

gc-check: environment ## a million dropped blocks beside a writer; ARGS="--count 50000" is shorter
	@$(RUN)/python -m tests.crash.collection $(ARGS)

lane: environment ## attacks of users' actors on cron and rewards, on our own built-in actors and on the official ones
	@$(RUN)/python -m pytest -q -m "" tests/lane $(ARGS)

streams: environment ## random programs of governance, awards and claims at the reward actor; ARGS="--count 10000" is longer
	@$(RUN)/python -m tests.streams --count 500 $(ARGS)

labs: environment ## the labs over 10,000 random programs each, and a miner's proof in a flood of 100,000 messages (docs/labs)
	@$(RUN)/python -m tests.labs.accounts $(ARGS)
	@$(RUN)/python -m tests.labs.lanes $(ARGS)
	@$(RUN)/python -m tests.labs.outbox $(ARGS)
	@$(RUN)/python -m tests.labs.rent $(ARGS)
	@$(RUN)/python -m tests.labs.libraries $(ARGS)
	@$(RUN)/python -m tests.labs.flood $(ARGS)

fuzz: environment ## every decoder and the machine, a minute for each target; ARGS="--targets codec rlp" are some of them
	@$(RUN)/python -m tests.fuzz --seconds 60 $(ARGS)

records: environment ## one per cent of each recorded run again, against bench/records; ARGS="fuzz" is one of them
	@$(RUN)/python -m bench.recorded $(ARGS)

equality: environment ## our actors beside the official ones, message for message, the long tests too; the gas of both
	@FVM_SAMPLES=all $(RUN)/python -m pytest -q -m "" tests/fvm_hypervisor/builtin_actors $(ARGS)
	@$(RUN)/python -m tests.fvm_hypervisor.builtin_actors.ledger .pytest_cache/d/guests/equality.json

boot: environment ## the same life on our own actors and on the official ones, from genesis over 1,000 epochs
	@$(RUN)/python examples/boot.py $(ARGS)

bundle: environment ## rebuild the built-in actors and say whether they are the committed ones (needs Rust)
	@$(RUN)/python fvm_hypervisor/builtin_actors/build.py $(ARGS)

engine: environment ## rebuild the EVM's fast engine and say whether it is the committed one (needs Rust)
	@$(RUN)/python -m fvm_hypervisor.bindings.actors
	@$(RUN)/python fvm_hypervisor/builtin_actors/build.py --engine $(ARGS)

bindings: environment ## write what is generated from the actors' schemas: Python, Solidity, the table of docs/bridge.md
	@$(RUN)/python -m fvm_hypervisor.bindings.actors

actors-page: environment ## write the table of docs/actors.md anew, by asking the actors
	@$(RUN)/python -m tests.docs.actors_page

rpc-page: environment ## write the methods of docs/json-rpc.md anew, with examples
	@$(RUN)/python -m tests.docs.json_rpc_page

cheatcodes-page: environment ## write the table of docs/solidity-tests.md anew
	@$(RUN)/python -m tests.docs.cheatcodes_page

api-page: environment ## write docs/api.md anew, from the docstrings of the public names
	@$(RUN)/python -m tests.docs.api_page

cli-page: environment ## write the commands of docs/cli.md anew, and the options of anvil in docs/coming-from-foundry.md
	@$(RUN)/python -m tests.docs.cli_page
	@$(RUN)/python -m tests.docs.foundry_flags_page

syscalls-page: environment ## write the tables of docs/syscalls.md and the C header fvm_hypervisor/builtin_actors/include/fvm.h anew
	@$(RUN)/python -m tests.docs.syscalls_page

templates: environment ## the projects of `hypervisor actor new` are built and tested, by cargo, zig and AssemblyScript
	@scripts/actor-compilers build/compilers
	@$(RUN)/python -m pytest -q -m "" tests/fvm_hypervisor/test_actor_templates.py tests/docs/test_syscalls.py tests/examples/test_frc46_token.py $(ARGS)

wheel: environment ## dist/: the wheel, and beside it what it is made of (CycloneDX)
	@environment=$$(mktemp -d) && trap 'rm -rf "$$environment"' EXIT && scripts/wheel dist "$$environment"

wheels: environment ## dist/: the pure wheel and compiled ones, for each claimed CPython that is here (needs a C compiler)
	@scripts/wheels dist

compiled: environment ## compile the modules of compiled.toml in place: some minutes of mypyc and the C compiler
	@$(RUN)/python hatch_build.py in-place

interpreted: environment ## go back from `make compiled` to the sources
	@$(RUN)/python hatch_build.py interpreted

supply-chain: environment ## licences of all dependencies, and what is known to be wrong with their versions
	@scripts/audit-tools $(RUN)/python
	@$(RUN)/python -m tests.packaging.supply_chain

lock: ## resolve the dependencies of pyproject.toml into requirements.lock (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group dev \
		--output-file requirements.lock pyproject.toml $(ARGS)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group audit \
		--output-file requirements-audit.lock $(ARGS)

environment:
	@scripts/bootstrap $(VENV) $(PYTHON)
