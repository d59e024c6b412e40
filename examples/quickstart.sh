#!/bin/sh
# The README's quick start, from a clone to the calls of a transaction that crosses both runtimes: makes the
# environment, then runs the README's block as it is pasted, all of it in one shell.
#
#     examples/quickstart.sh            PORT=0 takes a free port instead of 8545
set -eu

cd "$(dirname "$0")/.."
make demo
block=$(sed -n '/^```bash$/,/^```$/{/^```/d;p;}' README.md)
if [ "${PORT:-8545}" = 0 ]; then
    PORT=$(.venv/bin/python -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
fi
if [ "${PORT:-8545}" != 8545 ]; then
    block=$(printf '%s\n' "$block" | sed "s/hypervisor node/& --port $PORT/")
fi
ETH_RPC_URL=http://127.0.0.1:${PORT:-8545} exec bash -ec "trap 'kill \$(jobs -p) 2>/dev/null || :' EXIT
set -x
$block"
