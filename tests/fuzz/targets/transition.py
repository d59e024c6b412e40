"""Ethereum blocks: any accounts, environment and transactions lead to a state or an error that names a field."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from fvm_hypervisor.laboratory.vectors.t8n import transition
from hypervisor.errors import InvalidInput
from runtimes.evm.ethereum.forks import fork_names
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.trees import program

FORKS = fork_names()
KEY = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
CODE = "0x" + "11" * 20
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 70,
    "",
    [],
    {},
    [None],
    "0x",
    "0xzz",
    "0x" + "ff" * 40,
    "-1",
    "0x1_0",
    "0x" + "00" * 20,
)
ENDLESS = 1 << 22
"""Maximum gas of a block, which bounds the time of an input."""


def run(data: bytes) -> bool:
    try:
        parts = json.loads(data)
    except ValueError:
        return False
    if not isinstance(parts, dict) or _is_long(parts.get("txs")):
        return False
    fork = parts.get("fork")
    try:
        done = transition(parts.get("alloc"), parts.get("env"), parts.get("txs"), fork if fork in FORKS else FORKS[-1])
    except InvalidInput:
        return False
    assert len(done.result["stateRoot"]) == 66
    return True


def _is_long(transactions: Any) -> bool:
    """Return True if a transaction may exceed the time limit of an input."""
    given = transactions if isinstance(transactions, list) else []
    limits = [item.get("gas") for item in given if isinstance(item, dict)]
    return len(given) > 4 or any(_number(limit) > ENDLESS for limit in limits)


def _number(value: Any) -> int:
    try:
        return int(value, 0)
    except (TypeError, ValueError):
        return value if isinstance(value, int) else 0


def _parts(rng: Random) -> dict[str, Any]:
    def code() -> str:
        return "0x" + program(rng).hex()

    alloc = {
        SENDER: {"balance": "0xde0b6b3a7640000", "nonce": "0x0"},
        CODE: {"balance": "0x64", "code": code(), "nonce": "0x1", "storage": {"0x0": "0x1", "0x1": "0x2"}},
        "0x" + "22" * 20: {"balance": "0x0", "code": rng.choice((code(), "0xef0100" + "11" * 20, "0x"))},
    }
    env = {
        "currentCoinbase": "0x" + "cc" * 20,
        "currentDifficulty": "0x0",
        "currentRandom": "0x" + "00" * 32,
        "currentGasLimit": "0x1c9c380",
        "currentNumber": "0x5",
        "currentTimestamp": "0x3e8",
        "currentBaseFee": "0xa",
        "currentExcessBlobGas": "0x0",
        "parentBeaconBlockRoot": "0x" + "00" * 32,
        "blockHashes": {"0x4": "0x" + "11" * 32},
        "withdrawals": [],
    }
    return {"alloc": alloc, "env": env, "txs": [_transaction(rng)], "fork": rng.choice(FORKS)}


def _transaction(rng: Random) -> dict[str, Any]:
    made = rng.random() < 0.3
    made_of = "0x" + (program(rng) if made else rng.randbytes(rng.choice((0, 4, 36)))).hex()
    fields: dict[str, Any] = {
        "chainId": "0x1",
        "nonce": "0x0",
        "value": rng.choice(("0x0", "0x1", "0xde0b6b3a7640000")),
        "input": made_of,
        "gas": hex(rng.choice((21_000, 60_000, 300_000, 1_000_000))),
        "secretKey": KEY,
    }
    if not made:
        fields["to"] = rng.choice(
            (CODE, CODE, CODE, "0x" + "22" * 20, "0x" + "00" * 19 + f"{rng.randrange(1, 19):02x}")
        )
    match rng.randrange(4):
        case 0:
            return fields | {"type": "0x0", "gasPrice": "0xa"}
        case 1:
            keys = [{"address": CODE, "storageKeys": ["0x" + "00" * 32]}]
            return fields | {"type": "0x1", "gasPrice": "0xa", "accessList": keys}
        case 2 if not made:
            authorization = {"chainId": "0x1", "address": CODE, "nonce": "0x1", "v": "0x0", "r": "0x1", "s": "0x1"}
            return fields | _fees() | {"type": "0x4", "authorizationList": [authorization]}
        case _:
            return fields | _fees() | {"type": "0x2"}


def _fees() -> dict[str, Any]:
    return {"maxFeePerGas": "0x64", "maxPriorityFeePerGas": "0x1", "accessList": []}


def seeds() -> Iterator[bytes]:
    for seed in range(20):
        yield _encoded(_parts(Random(seed)))


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new block; one in five has a defect."""
    parts = _parts(rng)
    if rng.random() < 0.2:
        name = rng.choice(("alloc", "env", "txs"))
        parts[name] = _damaged(parts[name], rng)
    return _encoded(parts)


def _damaged(value: Any, rng: Random) -> Any:
    """Replace a value at any depth."""
    keys = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    if not keys or rng.random() < 0.1:
        return rng.choice(WRONG) if rng.random() < 0.7 else trees.mutated(value, rng)
    key = rng.choice(keys)
    value[key] = _damaged(value[key], rng)
    return value


def _encoded(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode()


TARGET = Target(run, seeds, mutate, share=8, longest=8000, memory=MACHINE)
