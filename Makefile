# Entry points of this repository. Most targets first create the environment (scripts/bootstrap), which needs Python
# 3.11 to 3.14 and a package index. PYTHON=python3.12 selects another interpreter, with a separate environment;
# ARGS="..." is passed to the program that the target runs.
# AREA=store restricts `make test` and `make oracles` to tests/store; AREA="bridge localnet/rpc" names two folders.
PYTHON ?=
AREA ?=
ARGS ?=
BOUNDARY ?= raw
BOUNDARIES := $(if $(filter both,$(BOUNDARY)),raw plain,$(BOUNDARY))
VECTORS ?= $(wildcard $(or $(FVM_DATA),../shared)/vectors/fvm-nv18 tests/golden)
STATETESTS ?= $(addprefix $(or $(FVM_DATA),../shared)/vectors/,GeneralStateTests state_tests)
VENV := .venv$(if $(PYTHON),-$(patsubst python%,%,$(notdir $(PYTHON))))
RUN := $(VENV)/bin

# Keep bytecode files: without them, each test worker and each process it starts would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test oracles lint check first-node clients clients-foc explorer-test explorer-load soltests peers examples quickstart conformance oracle oracle-diff oracle-fuzz oracle-vectors vectors bench bench-fuzz bench-symbolic bridge crash crash-epochs crash-faults gc-check lane migration migrations state-rewrites parallel load long-life fuzz records slices streams labs lab-programs riscv geth eels judges lotus-types revm statetest differential engines verify equality boot bundle engine protocol bindings actors-page reliability-page syscalls-page recording templates wheel release-check docs lowest integrations proofs-extension beside supply-chain lock environment

help:
	@sed -n 's/^\([a-z-]*\): .*## /make \1|/p' Makefile | awk -F '|' '{ printf "%-21s %s\n", $$1, $$2 }'

demo: environment ## run the demo: a contract and a native actor call each other
	@$(RUN)/hypervisor demo $(ARGS)

test: environment ## run all tests except long ones and those of `make oracles`, on all cores; AREA=store only those of a folder
	@$(RUN)/python -m pytest -n logical --max-worker-restart 0 --dist loadfile $(or $(ARGS),-m "not long and not oracle and not slow") $(AREA:%=tests/%)

oracles: environment ## run the slow tests: endless programs, kills, old networks, all samples; AREA=store only those of a folder
	@FVM_SAMPLES=all $(RUN)/python -m pytest -n logical --max-worker-restart 0 --dist worksteal -m "(oracle or slow or hypothesis or sampled) and not long" $(AREA:%=tests/%) $(ARGS)

lint: environment ## check format, lint, types and layers
	@$(RUN)/ruff format --check
	@$(RUN)/ruff check
	@$(RUN)/mypy
	@$(RUN)/lint-imports

check: lint test ## run what each commit must pass; a merge also requires `.ci/run`

first-node: environment ## run forge, cast and ethers against a node, on an official bundle if available (needs Node.js)
	@scripts/first-node $(VENV) $(ARGS)

clients: environment ## run real clients against fresh nodes and print a table of results (needs Node.js)
	@scripts/clients >/dev/null && scripts/clients tests/clients >/dev/null && scripts/clients tests/clients/vscode >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -n logical --max-worker-restart 0 --dist loadfile -m "" --ignore tests/clients/foc tests/clients $(ARGS)

clients-foc: environment ## run Filecoin Onchain Cloud on a node, from deployment to a settled rail (needs Node.js, FVM_SUITES)
	@$(RUN)/python -m tests.soltests.folder pdp filecoin-pay filecoin-services fvm-solidity SessionKeyRegistry
	@scripts/clients tests/clients/foc >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -s -m "" tests/clients/foc $(ARGS)

explorer-test: environment ## test the explorer in headless chromium (Debian's, or FVM_CHROMIUM); screenshots in build/explorer
	@EXPLORER_REQUIRED=1 $(RUN)/python -m pytest -q -n logical --max-worker-restart 0 --dist worksteal -m "" tests/explorer $(ARGS)

explorer-load: environment ## measure the explorer's pages on a chain of 100,000 blocks; ARGS="--count 2000" for a shorter run
	@$(RUN)/python -m tests.explorer.large_run $(ARGS)

migrations: environment ## compare the migrations of random states with forest's: FOREST=DIR, the crate's folder with a built forest-tool; ARGS="--count 10"
	@$(RUN)/python -m tests.oracle.migrations $(FOREST) $(ARGS)

parallel: environment ## run all vectors with --parallel 2, and random blocks serially and in parallel; ARGS="--count 10000" for a longer run
	@$(RUN)/hypervisor conformance --parallel 2 $(VECTORS)
	@$(RUN)/python -m tests.parallel --count 500 $(ARGS)

bench-symbolic: environment ## compare symbolic tests with halmos on its examples (needs Node.js; suites in FVM_SUITES, halmos in HALMOS)
	@$(RUN)/python -m tests.soltests.folder halmos halmos-cheatcodes forge-std openzeppelin-contracts solady solmate
	@scripts/clients tests/soltests >/dev/null
	@$(RUN)/python -m tests.soltests.halmos $(ARGS)

bench-fuzz: environment ## count bugs that forge and this project find over time on scfuzzbench targets (needs Node.js; suites in FVM_SUITES)
	@$(RUN)/python -m tests.soltests.folder
	@scripts/clients tests/soltests >/dev/null
	@$(RUN)/python -m tests.soltests.fuzzing $(ARGS)

soltests: environment ## compare `hypervisor test` with forge on public Solidity suites (needs Node.js; suites in FVM_SUITES)
	@$(RUN)/python -m tests.soltests.folder
	@scripts/clients tests/soltests >/dev/null
	@CLIENTS_REQUIRED=1 $(RUN)/python -m pytest -q -m "" tests/soltests
	@$(RUN)/python -m tests.soltests $(ARGS)

peers: environment ## run the own test suites of Foundry, Hardhat, web3.py, Safe, Solidity and others (needs Node.js; suites in FVM_SUITES); ARGS="edr" runs one
	@[ -z "$$FVM_SUITES" ] || scripts/clients tests/soltests >/dev/null
	@$(RUN)/python -m tests.peers $(ARGS)

quickstart: ## run the README's quick start, with a node on port 8545
	@examples/quickstart.sh

examples: environment ## run the examples with our actors and with the official ones (also part of `make test` and `make oracles`)
	@$(RUN)/python -m pytest -q --no-header examples $(ARGS)

bridge: environment ## compare filecoin-solidity's functions with the native calls (needs Node.js); ARGS=--write updates the table
	@$(RUN)/python -m tests.integration.filecoin_solidity $(ARGS)
	@$(RUN)/python -m pytest -q -m "" tests/integration

conformance: environment ## run all official and golden message vectors; BOUNDARY=raw, plain or both
	@mkdir -p build
	@for boundary in $(BOUNDARIES); do \
		FVM_BOUNDARY=$$boundary $(RUN)/hypervisor conformance --json $(VECTORS) $(ARGS) \
			>build/conformance-$$boundary.jsonl || exit; \
	done
	@set -- $(BOUNDARIES:%=build/conformance-%.jsonl); [ -z "$$2" ] || { cmp "$$1" "$$2" && echo "$$1 and $$2 are equal"; }
	@FVM_BOUNDARY=$(firstword $(BOUNDARIES)) $(RUN)/python -m pytest -q tests/conformance

oracle: environment ## build ref-fvm's oracle once (needs Rust; some minutes, 1 GB in build/oracle); it is kept in the cache folder
	@$(RUN)/python -m tests.harness.reference

oracle-diff: environment ## regenerate 20 golden vectors with ref-fvm and compare (needs Rust)
	@$(RUN)/python -m tests.conformance.oracle_diff $(ARGS)

oracle-fuzz: environment ## compare random syscalls and messages with ref-fvm; ARGS="--count 80000" for a longer run (needs Rust)
	@$(RUN)/python -m tests.conformance.oracle_fuzz $(ARGS)
	@$(RUN)/python -m tests.conformance.oracle_messages $(ARGS)

oracle-vectors: environment ## regenerate tipset and message vectors and run them with ref-fvm (needs Rust)
	@$(RUN)/python -m tests.conformance.tipset_corpus $(ARGS)

vectors: environment ## write the archive of test vectors to build/vectors; ARGS=--verify compares, ARGS=--reference runs ref-fvm too (needs Rust)
	@$(RUN)/python -m tests.conformance.public_vectors $(ARGS)

geth: environment ## compare random blocks of every fork and vectors of precompiles with go-ethereum (needs Go); ARGS="--count 10000"
	cd tests/oracle/geth && go build -o $(CURDIR)/build/geth/evm github.com/ethereum/go-ethereum/cmd/evm
	@$(RUN)/python -m tests.oracle.precompile_vectors \
		$$(cd tests/oracle/geth && go list -m -f '{{.Dir}}' github.com/ethereum/go-ethereum)/core/vm/testdata/precompiles
	@$(RUN)/python -m tests.oracle.random_blocks build/geth/evm $(ARGS)

eels: environment ## compare random blocks with Ethereum's execution specifications; ARGS="--count 2000 --fork Osaka"
	@scripts/tools eels $(RUN)/python
	@$(RUN)/python -m tests.oracle.random_blocks --eels build/tools/eels/bin/ethereum-spec-evm $(ARGS)

judges: environment ## compare JSON-RPC answers with geth's and Lotus' field by field (needs Go, for Lotus Rust; the first run builds them); ARGS="geth --write" records geth's
	@$(RUN)/python -m tests.judges $(ARGS)

lotus-types: ## regenerate the Go types of localnet/rpc/lotus_types.json and the records of their test (needs Go)
	@cd tests/oracle/go_state_types && for version in $$(seq 10 19); do \
		sed "s/VERSION/$$version/g" actors.go.tmpl > actors_$$version.go; done
	@cd tests/oracle/go_state_types && go run . ../../../localnet/rpc/lotus_types.json ../../golden/judges/go_state_types/values.json.gz

revm: environment ## compare random blocks with revm (needs Rust; the first build takes two minutes); ARGS="--count 10000 --fork Prague"
	cargo build --release --locked --quiet --manifest-path tests/oracle/revm/Cargo.toml --target-dir build/revm
	@$(RUN)/python -m tests.oracle.random_blocks_revm build/revm/release/revm-oracle $(ARGS)

statetest: environment ## run all available Ethereum state tests; report cases per fork and the slowest ones
	@$(RUN)/hypervisor statetest $(ARGS) $(STATETESTS)

differential: environment ## compare contracts on the EVM runtime and on the official EVM actor (needs an official bundle, Node.js)
	@corpus=$$(scripts/corpus) && $(RUN)/python -m tests.differential.corpus $$corpus
	@$(RUN)/python -m tests.differential $(ARGS)

verify: environment ## prove the arithmetic of compiled regions for all inputs (docs/verification.md)
	@$(RUN)/python -m tests.verification $(ARGS)

engines: environment ## compare the EVM engines and pyrevm on generated programs; ARGS="--count 100000" for a longer run
	@$(RUN)/python -m tests.engines $(ARGS)

bench: environment ## measure performance and compare with bench/targets.toml
	@$(RUN)/python -m bench $(ARGS)

crash: environment ## test a thousand kills, faults below RocksDB and failing writes; ARGS="--count 50" for a shorter run
	@$(RUN)/python -m tests.crash $(ARGS)

crash-epochs: environment ## test two hundred kills of a network over 1,000 epochs; ARGS="--count 20" for a shorter run
	@$(RUN)/python -m tests.crash.epochs $(ARGS)

crash-faults: environment ## test system calls that fail: full disk, sync errors, no descriptors (Linux, needs a C compiler)
	@$(RUN)/python -m tests.crash.system_faults $(ARGS)

migration: environment ## migrate a million actors to network version 29; ARGS="--count 50000" for a shorter run
	@$(RUN)/python -m tests.hypervisor.migrations.migration_run $(ARGS)

state-rewrites: environment ## migrate a million actors with states to each version from 19 to 29; ARGS="--to 25 --count 50000" for a shorter run
	@$(RUN)/python -m tests.hypervisor.migrations.state_rewrites_run $(ARGS)

load: environment ## test a node with 200 concurrent clients, and a kill under load; ARGS="--count 2000" for a shorter run
	@$(RUN)/python -m tests.localnet.load_run $(ARGS)

long-life: environment ## measure a node over a million transactions: memory, time per request; ARGS="--count 20000" for a shorter run
	@$(RUN)/python -m tests.localnet.long_life_run $(ARGS)

gc-check: environment ## test garbage collection of a million blocks during writes; ARGS="--count 50000" for a shorter run
	@$(RUN)/python -m tests.crash.collection $(ARGS)

lane: environment ## test attacks of users' actors on cron and rewards, on our built-in actors and the official ones
	@$(RUN)/python -m pytest -q -m "" tests/lane $(ARGS)

streams: environment ## test the reward actor with random programs of governance, awards and claims; ARGS="--count 10000" for a longer run
	@$(RUN)/python -m tests.streams --count 500 $(ARGS)

labs: environment ## run the tests and the examples of the labs (integrations/labs)
	@$(RUN)/python -m pytest -q -n logical --max-worker-restart 0 --dist worksteal -m "not long" integrations/labs $(ARGS)

riscv: environment ## test the RISC-V extension (integrations/riscv), installed beside this package
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --reinstall --target build/riscv ./integrations/riscv
	@PYTHONPATH=integrations/riscv $(RUN)/mypy integrations/riscv
	@PYTHONPATH=build/riscv $(RUN)/python -m pytest -q -n logical --dist worksteal -m "not long" integrations/riscv $(ARGS)

lab-programs: environment ## run the labs on 10,000 random programs each, and a miner's proof in a flood of 100,000 messages (docs/labs)
	@$(RUN)/python -m lab_tests.accounts $(ARGS)
	@$(RUN)/python -m lab_tests.lanes $(ARGS)
	@$(RUN)/python -m lab_tests.outbox $(ARGS)
	@$(RUN)/python -m lab_tests.rent $(ARGS)
	@$(RUN)/python -m lab_tests.libraries $(ARGS)
	@$(RUN)/python -m lab_tests.flood $(ARGS)

fuzz: environment ## fuzz every decoder and the machine for a minute each; ARGS="--targets codec rlp" selects targets
	@$(RUN)/python -m tests.fuzz --seconds 60 $(ARGS)

records: environment ## repeat one per cent of each recorded run and compare with its record; ARGS="fuzz" selects one
	@$(RUN)/python -m tests.harness.recorded $(ARGS)

slices: environment ## continue recorded runs with new seeds: ARGS="crash kill-node --for 20m"
	@$(RUN)/python -m tests.harness.slices $(ARGS)

equality: environment ## compare our built-in actors with the official ones message by message, including long tests and gas
	@FVM_SAMPLES=all $(RUN)/python -m pytest -q -m "" tests/hypervisor/builtin_actors $(ARGS)
	@$(RUN)/python -m tests.hypervisor.builtin_actors.ledger .pytest_cache/d/guests/equality.json

boot: environment ## compare our actors and the official ones over 1,000 epochs from genesis
	@$(RUN)/python examples/boot.py $(ARGS)

bundle: environment ## rebuild the built-in actors and compare with the committed ones (needs Rust)
	@$(RUN)/python scripts/build_guests.py $(ARGS)
	@$(RUN)/python -m tests.hypervisor.constructed_states

engine: environment ## rebuild the EVM engine's guests and compare with the committed ones (needs Rust)
	@$(RUN)/python -m scripts.actor_bindings
	@$(RUN)/python -m scripts.revm_protocol
	@$(RUN)/python scripts/build_guests.py --engine $(ARGS)

protocol: environment ## write both sides of the protocol of the guest with revm from its table
	@$(RUN)/python -m scripts.revm_protocol

bindings: environment ## regenerate what derives from the actors' schemas: Python, Solidity, the table of docs/bridge.md
	@$(RUN)/python -m scripts.actor_bindings

actors-page: environment ## regenerate the table of docs/actors.md from the actors
	@$(RUN)/python -m tests.docs.actors_page

reliability-page: environment ## regenerate the table of docs/reliability.md from the records
	@$(RUN)/python -m tests.docs.reliability_page

syscalls-page: environment ## regenerate the tables of docs/syscalls.md and hypervisor/builtin_actors/include/fvm.h
	@$(RUN)/python -m tests.docs.syscalls_page

recording: environment ## regenerate docs/demo.svg, the README's picture of the demo
	@$(RUN)/python -m tests.docs.demo_recording

templates: environment ## build and test the templates of `hypervisor actor new` with cargo, zig and AssemblyScript
	@scripts/actor-compilers build/compilers
	@$(RUN)/python -m pytest -q -m "" tests/hypervisor_tools/cli/test_actors.py tests/docs/test_syscalls.py tests/examples/test_frc46_token.py $(ARGS)

wheel: environment ## build the wheel and its software bill of materials (CycloneDX) into dist/
	@environment=$$(mktemp -d) && trap 'rm -rf "$$environment"' EXIT && scripts/wheel dist "$$environment"

release-check: environment ## build the sdist and the wheel into build/release, install and test them
	@scripts/release-check build/release

lowest: environment ## run the tests of store, bridge and hypervisor with the lowest versions of all dependencies
	@scripts/tools lowest $(RUN)/python
	@build/tools/lowest/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@build/tools/lowest/bin/python -m pytest -n logical --max-worker-restart 0 --dist loadfile -m "not long and not oracle and not slow" \
		-W "ignore:websockets.legacy:DeprecationWarning" --ignore tests/bridge/test_symbolic.py \
		$(or $(ARGS),tests/store tests/bridge tests/hypervisor)

beside: environment ## resolve the dependencies together with titanoboa, Ape, Moccasin, web3.py and eth-tester
	@$(RUN)/python -m tests.packaging.beside

integrations: environment ## run the tests of titanoboa's environment and of Ape's plugin, in an environment that has both
	@scripts/tools integrations $(RUN)/python
	@build/tools/integrations/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . --editable integrations/ape
	@build/tools/integrations/bin/python -m pytest -q -p no:cacheprovider tests/integrations $(ARGS)
	@cd integrations/ape/example && PATH="$(CURDIR)/build/tools/integrations/bin:$$PATH" ape test -q

proofs-extension: environment ## build the extension that verifies storage proofs, and test it with sealed sectors (needs Rust and 6 GB of memory; the first run takes half an hour or more)
	@CARGO_TARGET_DIR=$(CURDIR)/build/proofs/target $(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --upgrade --target build/proofs/package ./integrations/proofs
	@cargo run --release --locked --quiet --manifest-path integrations/proofs/Cargo.toml --target-dir build/proofs/target --example sector -- build/proofs/samples
	@PYTHONPATH=build/proofs/package $(RUN)/python -m pytest -q -n0 -p no:cacheprovider -m long tests/hypervisor/test_sector_proofs.py $(ARGS)

docs: environment ## build the documentation site into build/docs; dead links and warnings are errors
	@scripts/tools docs $(RUN)/python
	@$(RUN)/python -m tests.docs.generated_parts
	@build/tools/docs/bin/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going -c docs -d build/docs-cache . build/docs $(ARGS)
	@echo "build/docs/index.html"

supply-chain: environment ## check the licences and known vulnerabilities of all dependencies
	@scripts/tools audit $(RUN)/python
	@$(RUN)/python -m tests.packaging.supply_chain

# The extras stay in the lock files: pip before 24 rejects `coverage[toml]>=7` if the file pins only `coverage`, as soon
# as a newer coverage is published.
COMPILE = $(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras

lock: environment ## resolve the dependencies of pyproject.toml into requirements.lock
	@$(COMPILE) --group dev --output-file requirements.lock pyproject.toml $(ARGS)
	@$(COMPILE) --group audit --output-file requirements-audit.lock $(ARGS)
	@$(COMPILE) --group mutation --output-file requirements-mutation.lock $(ARGS)
	@$(COMPILE) --group eels --output-file requirements-eels.lock $(ARGS)
	@$(COMPILE) --group docs --output-file requirements-docs.lock $(ARGS)
	@$(COMPILE) --group release --output-file requirements-release.lock $(ARGS)
	@$(COMPILE) --group integrations --output-file requirements-integrations.lock pyproject.toml $(ARGS)
	@$(COMPILE) --group lowest --resolution lowest-direct --output-file requirements-lowest.lock pyproject.toml $(ARGS)

environment:
	@scripts/bootstrap $(VENV) $(PYTHON)
