"""Records go-ethereum's output of blocks of Amsterdam: one for its proposals, and random ones.

    python -m tests.oracle.amsterdam FILE EVM

FILE is written as gzip over JSON. EVM is go-ethereum's `evm` (`make geth`).
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

from runtimes.evm.forks.forks import AMSTERDAM
from tests.oracle.random_blocks import KEY, SENDER, authorization, block, environment, expected, system_accounts
from tests.runtimes.evm.assembler import assemble

RANDOM_BLOCKS: Final = 8
_NAME: Final = AMSTERDAM.name
_CAP: Final = 1 << 24
_STATE: Final = 1530
"""State gas of a byte."""
EXITS: Final = "0x000064d678505ad48f8ccb093bc65613800e8282"
_MAX_INPUT: Final = 2 + 2 * (1 << 17)
"""Maximum length of init code in hex."""
_PUSHES: Final = b"".join(b"\x61" + number.to_bytes(2, "big") for number in range(1000, 1020))
CODES: Final[dict[str, bytes]] = {
    # a new slot, a cleared one, one that is set and taken back, and one that is only changed
    "slots": assemble("7 1 SSTORE 0 2 SSTORE 5 3 SSTORE 0 3 SSTORE 9 4 SSTORE"),
    # a contract that is created with a value and destroys itself with itself as beneficiary: ADDRESS SELFDESTRUCT
    "destroys": assemble(f"{0x30FF << 240} 0 MSTORE 2 0 3 CREATE 0 SSTORE"),
    # a value for an account that does not exist, in a call that reverts, and in one that does not
    "pays": assemble("0 0 0 0 1 0xbeef1 GAS CALL 0 SSTORE 0 0 0 0 1 0xbeef2 GAS CALL 0 0 REVERT"),
    "calls": assemble("0 0 0 0 0 0x{pays} GAS CALL POP 0 0 0 0 1 0xbeef3 GAS CALL POP".replace("{pays}", "c2" * 20)),
    "reads": assemble(
        "0xa1a1 EXTCODESIZE POP 32 0 0 0xa1a2 EXTCODECOPY 0xa1a3 EXTCODEHASH POP 0xa1a4 BALANCE POP 5 SLOAD POP"
    ),
    "heir": assemble("0xbeef4 SELFDESTRUCT"),
    "slot number": b"\x4b" + bytes.fromhex("5f55"),
    "depths": _PUSHES + bytes.fromhex("e68060015560025560e8" + "8e" + "600355"),
}
_PLACES: Final = {name: "0x" + f"{0xC0 + index:02x}" * 20 for index, name in enumerate(CODES)}


def proposals() -> dict[str, Any]:
    """Return a block in which each proposal makes a difference."""
    calls: list[dict[str, Any]] = [
        {"to": "0x" + "d5" * 20, "value": "0x5", "gas": 250_000},
        {"to": SENDER, "value": "0x5", "gas": 12_000},
        {"to": SENDER, "value": "0x5", "gas": 11_999},
        {"to": SENDER, "input": "0x" + "0001" * 1500, "gas": 400_000},
        {"to": SENDER, "accessList": [{"address": _PLACES["slots"], "storageKeys": _keys(30)}], "gas": 400_000},
        {"to": None, "input": "0x" + assemble("30000 0 RETURN").hex(), "gas": _CAP + 30_000 * _STATE},
        {"to": None, "input": "0x" + assemble("65537 0 RETURN").hex(), "gas": _CAP + 70_000 * _STATE},
        {"to": None, "input": "0x" + "00" * (1 << 17), "gas": _CAP},
        {"to": None, "input": "0x" + "00" * ((1 << 17) + 1), "gas": _CAP},
        *({"to": place, "gas": gas} for place in _PLACES.values() for gas in (1_000_000, 90_000, _CAP + 100_000)),
        {"to": EXITS, "input": "0x" + "a5" * 48, "value": "0x2", "gas": 1_000_000},
        {"type": "0x4", "to": SENDER, "authorizationList": _authorizations(), "gas": 2_000_000},
        {"type": "0x4", "to": SENDER, "authorizationList": _authorizations(), "gas": 60_000},
        {"to": SENDER, "gas": 1 << 32},
    ]  # fmt: skip
    base = {"type": "0x2", "chainId": "0x1", "value": "0x0", "input": "0x", "accessList": [], "secretKey": KEY}
    fees = {"maxFeePerGas": "0x64", "maxPriorityFeePerGas": "0x1", "v": "0x0", "r": "0x0", "s": "0x0"}
    nonce, txs = 0, []
    for call in calls:
        txs.append({**base, **fees, **call, "gas": hex(call["gas"]), "nonce": hex(nonce)})
        is_rejected = call["gas"] in (11_999, 1 << 32) or len(call.get("input", "")) > _MAX_INPUT
        nonce += not is_rejected
    return {
        "fork": _NAME,
        "alloc": {
            SENDER: {"balance": hex(10**24)},
            **system_accounts(),
            **{
                place: {
                    "balance": "0x9", "nonce": "0x1", "code": f"0x{CODES[name].hex()}",
                    "storage": {f"0x{slot:064x}": f"0x{8:064x}" for slot in (2, 4)},
                }
                for name, place in _PLACES.items()
            },
        },
        "env": {**environment(AMSTERDAM), "currentGasLimit": hex(1 << 30)},
        "txs": txs,
    }  # fmt: skip


def refunds() -> dict[str, Any]:
    """Return a block whose gas is that of execution, with a refund."""
    whole = proposals()
    clears = {**whole["alloc"][_PLACES["slots"]], "code": f"0x{assemble('0 2 SSTORE').hex()}"}
    call = next(each for each in whole["txs"] if each["to"] == _PLACES["slots"])
    return {
        **whole,
        "alloc": {**whole["alloc"], _PLACES["slots"]: clears},
        "txs": [{**call, "nonce": "0x0"}],
    }


def _keys(count: int) -> list[str]:
    return [f"0x{number:064x}" for number in range(count)]


def _authorizations() -> list[dict[str, Any]]:
    return [authorization(Random(seed), 0) for seed in range(4)]


def cases() -> dict[str, dict[str, Any]]:
    return {
        "proposals": proposals(),
        "refunds": refunds(),
        **{f"block {seed}": block(seed, _NAME) for seed in range(RANDOM_BLOCKS)},
    }


def main(file: str, evm: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recorded = {name: {**case, "expected": expected(evm, case, folder)} for name, case in cases().items()}
    Path(file).write_bytes(gzip.compress(json.dumps(recorded, sort_keys=True).encode(), mtime=0))
    print(f"{len(recorded)} blocks")


if __name__ == "__main__":
    main(*sys.argv[1:])
