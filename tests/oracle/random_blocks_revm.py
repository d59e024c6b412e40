"""Random blocks on our transition tool and on revm: status, gas, logs and accounts must be equal.

    python -m tests.oracle.random_blocks_revm REVM [--count N] [--seed N] [--engine NAME] [--fork NAME]

REVM is the program in tests/oracle/revm (`make revm`). The blocks are those of `tests.oracle.random_blocks`.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from typing import IO, Any, Final

from hypervisor.installation import OWN_EVM
from hypervisor_tools.laboratory.vectors.t8n import transition
from tests.oracle.random_blocks import SENDER, block

FORK_NAMES: Final = ("Petersburg", "Istanbul", "Berlin", "London", "Shanghai", "Cancun", "Prague", "Osaka", "Amsterdam")
"""The forks that have the same names in revm."""


def revm_result(stream: tuple[IO[str], IO[str]], given: dict[str, Any], spec: str) -> dict[str, Any]:
    to, from_ = stream
    parts = {name: given[name] for name in ("alloc", "env", "txs")}
    to.write(json.dumps({**parts, "spec": spec, "sender": SENDER}) + "\n")
    to.flush()
    found: dict[str, Any] = json.loads(from_.readline())
    return found


def our_result(given: dict[str, Any], fork: str, engine: str) -> dict[str, Any]:
    """Return our result of a block in the same form."""
    done = transition(given["alloc"], given["env"], given["txs"], fork, evm=engine)
    rejected = {each["index"] for each in done.result.get("rejected", ())}
    receipts = iter(done.result["receipts"])
    return {
        "txs": [None if index in rejected else _receipt(next(receipts)) for index in range(len(given["txs"]))],
        "alloc": {at: _account(fields) for at, fields in done.alloc.items()},
    }


def _receipt(fields: dict[str, Any]) -> dict[str, Any]:
    logs = [{name: log[name] for name in ("address", "topics", "data")} for log in fields["logs"] or ()]
    return {"status": fields["status"] == "0x1", "gasUsed": int(fields["gasUsed"], 16), "logs": logs}


def _account(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "balance": fields["balance"],
        "nonce": fields.get("nonce", "0x0"),
        "code": fields.get("code", "0x"),
        "storage": fields.get("storage", {}),
    }


def main() -> int:
    """Compare blocks; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revm")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", default=OWN_EVM)
    parser.add_argument("--fork", default="Osaka", choices=FORK_NAMES)
    given = parser.parse_args()
    differ, statuses = 0, Counter[str]()
    with subprocess.Popen([given.revm], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for seed in range(given.seed, given.seed + given.count):
            made = block(seed, given.fork)
            theirs = revm_result((process.stdin, process.stdout), made, given.fork)
            ours = our_result(made, given.fork, given.engine)
            statuses.update("rejected" if each is None else f"status {each['status']:d}" for each in ours["txs"])
            if ours != theirs:
                differ += 1
                parts = [part for part in theirs if ours[part] != theirs[part]]
                print(f"seed {seed}: {', '.join(parts)} differ")
        process.stdin.close()
    print(f"{given.count} blocks of {given.fork}, {differ} differ; transactions: {dict(sorted(statuses.items()))}")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
