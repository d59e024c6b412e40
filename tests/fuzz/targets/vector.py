"""Message vectors: defects are reported as errors, and valid vectors have a result.

The seeds are our own vectors over the embedded bundle: a transfer, a call of a built-in actor, and a refused message.
Their expected results do not matter: a difference is a result.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bridge.filecoin.parameters import method_number
from fvm_hypervisor.laboratory.vectors import conformance, tipsets
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import DATACAP_ACTOR, Gas, MethodNumber, TokenAmount
from store.blockstore import StoreError
from store.car.files import read_car, write_car
from store.cid import show
from store.links import reachable
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target

FILE = Path("vectors.jsonl.gz")
SENDER = Address.secp256k1(b"\x04" + b"\x07" * 64)
OTHER = Address.secp256k1(b"\x04" + b"\x08" * 64)
ENDLESS = 50_000_000
"""Maximum gas of a message, which bounds the time of an input."""
LARGEST = 12_000
NETWORK = 28
"""Network version of the actors in the runner's bundle."""
WRONG: tuple[Any, ...] = (None, "1", "", True, -1, 1.5, 1 << 70, 1 << 200, [], {})


def run(data: bytes) -> bool:
    try:
        vector = conformance.parse_vector(data, FILE)
        if _is_long(vector):
            return False
        results = [conformance.run_variant(variant) for variant in conformance.variants_of(vector, FILE, _bundles())]
    except (HypervisorError, StoreError):
        return False
    for result in results:
        assert result.record()["pass"] is (result.record()["error"] == "")
    return bool(results)


def _is_long(vector: Mapping[str, Any]) -> bool:
    """Return True if it exceeds the limits of an input: messages, variants or gas."""
    messages, before = vector.get("apply_messages"), vector.get("preconditions")
    variants = before.get("variants") if isinstance(before, dict) else None
    if any(isinstance(items, list) and len(items) > 4 for items in (messages, variants)):
        return True
    return any(_gas(item) > ENDLESS for item in messages) if isinstance(messages, list) else False


def _gas(applied: Any) -> int:
    try:
        message, _ = conformance.read_message(applied)
    except (HypervisorError, *conformance.MALFORMED):
        return 0
    return message.gas_limit


@cache
def _bundles() -> BundleFolder:
    return BundleFolder(None)


@cache
def _state() -> tuple[str, str]:
    """Return a state without the actors' code: the root and the CAR in the form of vectors."""
    machine = Hypervisor.open(network=NETWORK, genesis=Genesis("fuzz", {SENDER: TokenAmount(10**20)}))
    root, store = machine.flush(), machine.base
    bundle = {cid for cid, _ in machine_bundle()}
    blocks = [(cid, store.get(cid)) for cid in sorted(reachable(store, [root])) if cid not in bundle]
    car = io.BytesIO()
    write_car(car, [root], blocks)
    return show(root), base64.b64encode(gzip.compress(car.getvalue(), mtime=0)).decode()


def machine_bundle() -> list[tuple[Any, bytes]]:
    """Return the blocks that a runner already has."""
    from hypervisor.bundles.bundle import Bundle

    return list(Bundle.embedded().blocks)


def _vector(name: str, *messages: Message) -> dict[str, Any]:
    root, car = _state()
    return {
        "_meta": {"id": name},
        "car": car,
        "randomness": [{"on": ["chain", 1], "ret": base64.b64encode(bytes(32)).decode()}],
        "tipsets": [],
        "proofs": "accept",
        "consensus_fault": {"target": 1000, "epoch": 1, "type": 1},
        "preconditions": {
            "state_tree": {"root_cid": {"/": root}},
            "basefee": 100,
            "chain_id": 1,
            "timestamp": 1_700_000_000,
            "circ_supply": 10**27,
            "variants": [{"id": f"nv{NETWORK}", "epoch": 10, "nv": NETWORK}],
        },
        "apply_messages": [{"bytes": base64.b64encode(message.to_cbor()).decode()} for message in messages],
        "postconditions": _expected(len(messages)),
    }


def _expected(count: int) -> dict[str, Any]:
    receipt = {"exit_code": 0, "return": "", "gas_used": 1_000_000, "events_root": None, "penalty": 0}
    return {"state_tree": {"root_cid": {"/": _state()[0]}}, "receipts": [dict(receipt) for _ in range(count)]}


def _message(nonce: int, to: Address, method: int, value: int) -> Message:
    return Message(
        to=to,
        from_=SENDER,
        nonce=nonce,
        value=TokenAmount(value),
        method=MethodNumber(method),
        gas_limit=Gas(20_000_000),
        gas_fee_cap=TokenAmount(200),
        gas_premium=TokenAmount(1),
    )


def vectors() -> list[dict[str, Any]]:
    """Return the vectors from which inputs are made."""
    name = method_number("Name")
    return [
        _vector("transfer", _message(0, OTHER, 0, 5)),
        _vector("question", _message(0, Address.id(DATACAP_ACTOR), name, 0), _message(1, OTHER, 0, 1)),
        _vector("refused", _message(7, OTHER, 0, 0)),
    ]


def seeds() -> Iterator[bytes]:
    for vector in vectors():
        assert list(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))
        yield json.dumps(vector).encode()


def mutate(data: bytes, rng: Random) -> bytes:
    """Return other messages or another context; one in four with a defect. The blocks mostly stay."""
    try:
        vector = json.loads(data)
    except ValueError:
        vector = None
    if not isinstance(vector, dict) or rng.random() < 0.7:
        vector = rng.choice(vectors())
    if rng.random() < 0.25:
        part = rng.choice(("preconditions", "postconditions", "apply_messages", "randomness", "consensus_fault", ""))
        if part in vector:
            vector[part] = trees.mutated(vector[part], rng)
        else:
            vector = trees.mutated(vector, rng)
    else:
        vector["apply_messages"] = _messages(rng)
        vector["postconditions"] = _expected(len(vector["apply_messages"]))
        if rng.random() < 0.1:
            receipt = rng.choice(vector["postconditions"]["receipts"])
            receipt[rng.choice([*receipt])] = rng.choice(WRONG)
        vector["preconditions"] = _context(rng)
    return json.dumps(vector, default=repr).encode()


def _messages(rng: Random) -> list[dict[str, Any]]:
    """Yield one to three messages, some of them with changed bytes."""
    to = (OTHER, SENDER, *map(Address.id, (0, 1, 2, 5, 7, 10, 99, 1000)))
    methods = (0, 0, 1, 2, 3, method_number("Name"), method_number("Balance"), rng.choice(trees.NUMBERS) % (1 << 64))
    messages = [
        _message(nonce, rng.choice(to), rng.choice(methods), abs(rng.choice(trees.NUMBERS)))
        for nonce in range(rng.randrange(1, 4))
    ]
    encoded = [message.to_cbor() for message in messages]
    return [
        {"bytes": base64.b64encode(data if rng.random() < 0.8 else trees.scrambled(data, rng)).decode()}
        | ({"implicit": True} if rng.random() < 0.2 else {})
        for data in encoded
    ]


def _context(rng: Random) -> dict[str, Any]:
    """Return other numbers; rarely invalid values."""
    before: dict[str, Any] = _vector("context")["preconditions"]
    numbers: dict[str, Any] = {
        name: abs(rng.choice(trees.NUMBERS)) for name in ("basefee", "chain_id", "timestamp", "circ_supply")
    }
    variant: dict[str, Any] = {"id": "a", "epoch": rng.choice((0, 1, 10, 1 << 40)), "nv": rng.choice((18, 21, 24, 28))}
    if rng.random() < 0.1:
        place = rng.choice((numbers, variant))
        place[rng.choice([*place])] = rng.choice(WRONG)
    kept = {name: number for name, number in numbers.items() if rng.random() < 0.3}
    return before | kept | {"variants": [variant]}


def _lax() -> None:
    """Accept values that are not numbers as an epoch or as gas."""
    before = tipsets.read_number

    def read(value: Any, name: str) -> Any:
        return value if name in ("epoch", "gas_used") else before(value, name)

    for module in (tipsets, conformance):
        vars(module)["read_number"] = read


TARGET = Target(
    run, seeds, mutate, share=8, longest=LARGEST, memory=MACHINE, plants={"epochs and gas are not looked at": _lax}
)
