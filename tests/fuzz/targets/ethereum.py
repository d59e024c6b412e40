"""Ethereum's transactions and blocks."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.rlp import Item, RlpError
from bridge.ethereum.transactions import Transaction, TransactionError, parse_transaction
from bridge.filecoin.messages import from_signed_message, signed_message
from hypervisor.errors import AddressError, InvalidInput
from hypervisor_tools.laboratory.vectors.t8n import transition
from runtimes.evm.forks.forks import fork_names
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.fuzz.trees import program

CHAIN = 31415926
SENDER = EthAddress(bytes(range(1, 21)))


def run_transaction(data: bytes) -> bool:
    try:
        signed = parse_transaction(data)
    except TransactionError:
        return False
    assert replace(signed, wire_form=b"").raw() == data
    assert len(signed.hash()) == 32
    with suppress(TransactionError):  # nobody's signature
        signed.sender()
    try:
        chain = signed.transaction.chain_id
        message = signed_message(signed, SENDER)
        again = from_signed_message(message, CHAIN if chain is None else chain)
    except (TransactionError, AddressError):
        return True
    assert again == signed
    return True


def transaction_seeds() -> Iterator[bytes]:
    key = bytes(31) + b"\x07"
    for kind, chain in ((0, None), (0, CHAIN), (0, 1), (1, CHAIN), (2, CHAIN), (2, 2**64 - 1)):
        for to, data in ((SENDER, b""), (None, b"\x60\0" * 40), (EthAddress(b"\xff" + bytes(18) + b"\x64"), b"data")):
            fee = 10**9
            tip = fee if kind < 2 else 5
            yield Transaction(kind, chain, 7, to, 10**18, data, 10**7, fee, tip).sign(key).raw()


def mutate_transaction(data: bytes, rng: Random) -> bytes:
    """Change one or several fields."""
    head, body = (data[:1], data[1:]) if data[:1] in (b"\1", b"\2") else (b"", data)
    try:
        fields = rlp.read_list(rlp.decode(body))
    except RlpError:
        return rng.choice([*transaction_seeds()])
    for _ in range(rng.choice((1, 1, 2, 3))):
        if fields:
            at = rng.randrange(len(fields))
            fields[at] = _changed(fields[at], rng)
    return head + rlp.encode(fields)


def _changed(item: Item, rng: Random) -> Item:
    if not isinstance(item, bytes):
        return item if rng.random() < 0.9 else [b"", [b""]]
    match rng.randrange(8):
        case 0:
            return trees.scrambled(item, rng)
        case 1:
            return item + b"\0"
        case 2:
            return b"\0" + item
        case 3 if len(item) == 20:
            return rng.choice((b"", rng.randbytes(20), b"\xff" + bytes(11) + rng.randbytes(8), item[1:]))
        case 4 if len(item) == 32:
            return rlp.number(rng.getrandbits(256))
        case _ if len(item) in (20, 32):
            return item
        case _:
            return rlp.number(abs(trees.random_number(rng, int.from_bytes(item[:40], "big"))))


TRANSACTION_TARGET = Target(run_transaction, transaction_seeds, mutate_transaction, share=15, longest=600)


FORKS = fork_names()
KEY = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
TRANSITION_SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
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


def run_transition(data: bytes) -> bool:
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
        TRANSITION_SENDER: {"balance": "0xde0b6b3a7640000", "nonce": "0x0"},
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


def transition_seeds() -> Iterator[bytes]:
    for seed in range(20):
        yield _encoded(_parts(Random(seed)))


def mutate_transition(data: bytes, rng: Random) -> bytes:
    """Return a new block; one in five has a defect."""
    parts = _parts(rng)
    if rng.random() < 0.2:
        name = rng.choice(("alloc", "env", "txs"))
        parts[name] = _damaged(parts[name], rng)
    return _encoded(parts)


def _damaged(value: Any, rng: Random) -> Any:
    keys = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    if not keys or rng.random() < 0.1:
        return rng.choice(WRONG) if rng.random() < 0.7 else trees.mutated(value, rng)
    key = rng.choice(keys)
    value[key] = _damaged(value[key], rng)
    return value


def _encoded(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode()


TRANSITION_TARGET = Target(run_transition, transition_seeds, mutate_transition, share=8, longest=8000, memory=MACHINE)
