#!/bin/sh
# The README's quick start, from a clone to the calls of a transaction that crosses both runtimes: makes the environment,
# starts a node, deploys a contract, calls it, and sends a transaction in which it asks a native actor.
#
#     examples/quickstart.sh            PORT=0 takes a free port instead of 8545
set -eu

cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
node=
trap '{ set +x; } 2>/dev/null; if [ -n "$node" ]; then kill "$node" 2>/dev/null || :; wait "$node" || :; fi; rm -rf "$scratch"' EXIT

make demo
PATH=$PWD/.venv/bin:$PATH

hypervisor node --port "${PORT:-8545}" --ready-file "$scratch/url" --artifacts examples/solidity/artifacts >"$scratch/log" &
node=$!
until [ -f "$scratch/url" ]; do
    kill -0 "$node" 2>/dev/null || { cat "$scratch/log" >&2; exit 1; }
    sleep 0.1
done
ETH_RPC_URL=$(cat "$scratch/url")
export ETH_RPC_URL

set -x
hypervisor doctor --rpc-url "$ETH_RPC_URL"
hypervisor deploy examples/solidity/artifacts/DataCapName.json
hypervisor call 0x5fbdb2315678afecb367f032d93f642f64180aa3 'name()(string)'
hypervisor balance f0100
hypervisor send f0100 --value 1.5fil
hypervisor send 0x5fbdb2315678afecb367f032d93f642f64180aa3 keep --abi examples/solidity/artifacts/DataCapName.json --trace
