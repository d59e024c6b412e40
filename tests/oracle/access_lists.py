"""Records go-ethereum's block-level access lists (EIP-7928) of random blocks.

    python -m tests.oracle.access_lists FILE EVM

FILE is written as gzip over JSON. EVM is go-ethereum's `evm` (`make geth`). go-ethereum has access lists only together
with Amsterdam's gas, so gas is free in these blocks, and no transaction or call runs out of it.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

from runtimes.evm.ethereum.forks import OSAKA
from tests.oracle.random_blocks import accounts, environment, expected, transactions

BLOCKS: Final = 24
_GAS: Final = 10_000_000
_PRICES: Final = ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")


def free_block(seed: int) -> dict[str, Any]:
    """Return a block whose transactions pay no fees."""
    rng = Random(seed)
    alloc, limit = accounts(rng, OSAKA), hex(1 << 30)
    env = {**environment(OSAKA), "currentBaseFee": "0x0", "currentGasLimit": limit, "slotNumber": "0x1"}
    txs = [
        {**each, **{name: "0x0" for name in _PRICES if name in each}, "gas": hex(_GAS)}
        for each in transactions(rng, OSAKA)
    ]
    return {"fork": "Amsterdam", "alloc": alloc, "env": env, "txs": txs}


def is_comparable(amsterdam: dict[str, Any], osaka: dict[str, Any]) -> bool:
    """Return True if Amsterdam's gas and SELFDESTRUCT made no difference to a block."""
    receipts = [*zip(amsterdam["result"]["receipts"], osaka["result"]["receipts"], strict=True)]
    return len(receipts) > 0 and all(
        int(receipt["gasUsed"], 16) < _GAS // 8 and receipt["status"] == before["status"]
        for receipt, before in receipts
    )


def main(file: str, evm: str) -> None:
    """Record the access lists of the first comparable blocks."""
    recorded: dict[str, Any] = {}
    seed = 0
    with tempfile.TemporaryDirectory() as folder:
        while len(recorded) < BLOCKS:
            seed += 1
            given = free_block(seed)
            found = expected(evm, given, folder)
            before = expected(evm, {**given, "fork": "Osaka"}, folder)
            if found["alloc"] == before["alloc"] and is_comparable(found, before):
                recorded[f"block {seed}"] = {**given, "expected": found["result"]["blockAccessList"]}
    Path(file).write_bytes(gzip.compress(json.dumps(recorded, sort_keys=True).encode(), mtime=0))
    print(f"{len(recorded)} access lists of {seed} blocks")


if __name__ == "__main__":
    main(*sys.argv[1:])
