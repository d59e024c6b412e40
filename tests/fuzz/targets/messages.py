"""Addresses, messages, vectors of messages, and finality certificates."""

import base64
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bridge.ethereum.addresses import from_delegated, to_ethereum, to_filecoin, unmask_id
from bridge.ethereum.transactions import TransactionError
from bridge.filecoin.messages import from_signed_message
from bridge.filecoin.method_numbers import method_number
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import AddressError, HypervisorError, InvalidInput, MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.types import DATACAP_ACTOR, Gas, MethodNumber, TokenAmount, encode_bigint
from hypervisor_tools.laboratory.proofs.f3 import (
    Committee,
    InvalidCertificate,
    TrustedState,
    advance,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
)
from hypervisor_tools.laboratory.vectors import conformance
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from store.blockstore import StoreError
from store.car.files import read_car, write_car
from store.cid import cid_of, show
from store.codec import CodecError, decode_strict, encode
from store.links import reachable
from store.trees import bitfield
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target, cbor_mutation


def run_address(data: bytes) -> bool:
    _text(data)
    try:
        address = Address.from_bytes(data)
    except AddressError:
        return False
    assert Address.from_bytes(address.to_bytes()) == address
    assert address.to_bytes() == data or _has_number(address)
    assert Address.parse(str(address)) == address
    ethereum = from_delegated(address)
    if ethereum is not None:
        assert len(ethereum) == 20
        assert unmask_id(ethereum) is not None or to_filecoin(ethereum) == address
    actor = address.actor_id()
    if actor is not None:
        assert unmask_id(to_ethereum(actor, None)) == actor
    return True


def _has_number(address: Address) -> bool:
    """Return True if bits may have been lost: as on the network, an ID or a namespace is cut to 64 bits."""
    return address.protocol in (Protocol.ID, Protocol.DELEGATED)


def _text(data: bytes) -> None:
    try:
        address = Address.parse(data.decode("latin-1"))
    except AddressError:
        return
    assert Address.parse(str(address)) == address
    assert Address.from_bytes(address.to_bytes()) == address


def _all() -> Iterator[Address]:
    for actor in (0, 1, 127, 128, 2**63 - 1, 2**64 - 1):
        yield Address.id(actor)
    yield Address.secp256k1(bytes(65))
    yield Address.actor(b"actor")
    yield Address.bls(bytes(48))
    for namespace, length in ((10, 20), (0, 0), (2**64 - 1, 54), (32, 1)):
        yield Address.delegated(namespace, b"\xff" + bytes(length - 1) if length else b"")


def address_seeds() -> Iterator[bytes]:
    for address in _all():
        yield address.to_bytes()
        yield str(address).encode()


def mutate_address(data: bytes, rng: Random) -> bytes:
    """Return a new address as bytes; one in four as text, or invalid."""
    number = rng.choice((rng.choice(trees.NUMBERS) % 2**64, rng.getrandbits(rng.randrange(1, 65))))
    address = rng.choice(
        (
            Address.id(number),
            Address.delegated(number, rng.randbytes(rng.randrange(55))),
            Address.delegated(10, b"\xff" + bytes(11) + rng.randbytes(8)),
            Address.delegated(10, rng.randbytes(20)),
            Address.actor(rng.randbytes(3)),
            Address.bls(rng.randbytes(48)),
            Address.secp256k1(rng.randbytes(65)),
        )
    )
    match rng.randrange(8):
        case 0:
            return str(address).encode()
        case 1:
            return trees.scrambled(rng.choice((str(address).encode(), address.to_bytes(), data)), rng)
        case _:
            return address.to_bytes()


ADDRESS_TARGET = Target(run_address, address_seeds, mutate_address, share=250, longest=160)


CHAIN = 314


def run_message(data: bytes) -> bool:
    try:
        signed = SignedMessage.from_cbor(data)
    except MessageError:
        return _bare(data)
    assert SignedMessage.from_cbor(signed.to_cbor()) == signed
    assert signed.chain_length() > 0
    signed.cid()
    try:
        carried = from_signed_message(signed, CHAIN)
    except TransactionError:
        return True
    assert carried.raw()
    return True


def _bare(data: bytes) -> bool:
    try:
        message = Message.from_cbor(data)
    except MessageError:
        return False
    assert Message.from_cbor(message.to_cbor()) == message
    with suppress(MessageError):  # a fee below zero can be written, not paid
        message.check()
    return True


def _fields(rng: Random) -> list[Any]:
    def amount() -> bytes:
        return encode_bigint(rng.choice((0, 1, 10**18, 2**128, -1, rng.getrandbits(300))))

    def address() -> bytes:
        ethereum = rng.choice((b"\xff" + bytes(11) + b"\0\0\0\0\0\0\0\5", rng.randbytes(20)))
        return rng.choice(
            (Address.id(rng.randrange(200)), Address.delegated(10, ethereum), Address.actor(b"x"))
        ).to_bytes()

    numbers = [rng.choice(trees.NUMBERS) % 2**64 for _ in range(3)]
    params = rng.choice((b"", b"\x40", b"\x43abc", rng.randbytes(5)))
    method = rng.choice((0, 1, 3844450837, numbers[2]))
    return [0, address(), address(), numbers[0], amount(), numbers[1], amount(), amount(), method, params]


def _signature(rng: Random) -> bytes:
    kind, length = rng.choice(((1, 65), (2, 96), (3, 65), (3, 66), (3, 67), (3, 69)))
    data = rng.randbytes(length)
    return bytes((kind,)) + (bytes((rng.choice((1, 2, data[0])),)) + data[1:-1] + bytes((rng.choice((0, 1, 27, 28)),)))


def message_seeds() -> Iterator[bytes]:
    rng = Random(1)
    for _ in range(6):
        yield encode(_fields(rng))
        yield encode([_fields(rng), _signature(rng)])


def mutate_message(data: bytes, rng: Random) -> bytes:
    """Return a new message, one in three with a changed field."""
    fields = _fields(rng)
    if rng.random() < 0.3:
        at = rng.randrange(10)
        fields[at] = trees.mutated(fields[at], rng)
    if rng.random() < 0.1:
        return _changed(data, rng)
    try:
        return encode(fields if rng.random() < 0.3 else [fields, _signature(rng)])
    except ValueError:
        return data


_changed = cbor_mutation(message_seeds)


MESSAGE_TARGET = Target(run_message, message_seeds, mutate_message, share=100, longest=600)


RICH = Address.delegated(10, bytes(range(1, 21)))
POOR = Address.delegated(10, bytes(range(2, 22)))
HALF = 1 << 128


def run_absurd(data: bytes) -> bool:
    message = _message(data)
    if message is None:
        return False
    machine, start = _machine()
    written = len(machine.store.pending)
    try:
        result = machine.apply(message)
    except InvalidInput:
        assert machine.root == start.root
        return True  # a message that was read, and refused by the name of its field
    assert result.fatal is None, result.fatal
    assert 0 <= result.gas_used <= message.gas_limit
    assert _money(machine) == _total()
    if machine.root != start.root:
        machine.restore(start)
    machine.store.forget_after(written)
    return True


def _message(data: bytes) -> Message | None:
    """[to, from, nonce, value, method, params, gas limit, fee cap, premium, version], numbers as [low, high]."""
    try:
        fields = decode_strict(data)
        to, sender, *numbers = fields
        if not (isinstance(to, bytes) and isinstance(sender, bytes) and isinstance(numbers[3], bytes)):
            return None
        nonce, value, method, gas, cap, premium, version = (
            low + high * HALF for low, high in (*numbers[:3], *numbers[4:8])
        )
        return Message(
            Address.from_bytes(to),
            Address.from_bytes(sender),
            nonce,
            TokenAmount(value),
            method,
            numbers[3],
            gas,
            TokenAmount(cap),
            TokenAmount(premium),
            version,
        )
    except (CodecError, InvalidInput, TypeError, ValueError, IndexError, OverflowError):
        return None


@cache
def _machine() -> tuple[Hypervisor, Snapshot]:
    machine = Hypervisor.open(genesis=Genesis(accounts={RICH: TokenAmount(10**24), POOR: TokenAmount(10**9)}))
    return machine, machine.snapshot()


@cache
def _total() -> int:
    return _money(_machine()[0])


def _money(machine: Hypervisor) -> int:
    return sum(actor.balance for _, actor in machine.state_tree.actors())


def _number(number: int) -> list[int]:
    return [number % HALF % 2**64, 0] if 0 <= number < 2**64 else [-1, 0] if number < 0 else [0, 1]


def _absurd_fields(rng: Random, odd: float) -> list[Any]:
    def number(usual: int) -> list[int]:
        return _number(rng.choice(trees.NUMBERS) if rng.random() < odd else usual)

    to = rng.choice(
        (
            RICH,
            POOR,
            Address.id(rng.randrange(110)),
            Address.delegated(10, rng.randbytes(20)),
            Address.bls(rng.randbytes(48)),
            Address.actor(b"nobody"),
            Address.id(2**64 - 1),
        )
    )
    sender = RICH if rng.random() < 0.9 else rng.choice((POOR, Address.id(0), to))
    method = rng.choice((0, 0, 1, 2, 3, 4, 3844450837, rng.getrandbits(32)))
    params = rng.choice((b"", b"\x80", b"\x40", b"\x41\x60", rng.randbytes(9)))
    return [
        to.to_bytes(),
        sender.to_bytes(),
        number(0),
        number(rng.choice((0, 1, 10**18))),
        number(method),
        params,
        number(rng.choice((10**8, 10**9, 3 * 10**6))),
        number(rng.choice((0, 10**9))),
        number(rng.choice((0, 1))),
        number(0),
    ]


def absurd_seeds() -> Iterator[bytes]:
    rng = Random(3)
    for _ in range(20):
        yield encode(_absurd_fields(rng, 0.05))


def mutate_absurd(data: bytes, rng: Random) -> bytes:
    """Return a new message with no, some or many odd fields."""
    fields = _absurd_fields(rng, rng.choice((0, 0, 0.1, 0.3)))
    if rng.random() < 0.1:
        at = rng.randrange(len(fields))
        fields[at] = trees.mutated(fields[at], rng)
    try:
        return encode(fields)
    except CodecError:
        return data


ABSURD_TARGET = Target(run_absurd, absurd_seeds, mutate_absurd, share=4, longest=400, memory=MACHINE)


FILE = Path("vectors.jsonl.gz")
SENDER = Address.secp256k1(b"\x04" + b"\x07" * 64)
OTHER = Address.secp256k1(b"\x04" + b"\x08" * 64)
ENDLESS = 50_000_000
"""Maximum gas of a message, which bounds the time of an input."""
LARGEST = 12_000
NETWORK = 28
"""Network version of the actors in the runner's bundle."""
WRONG: tuple[Any, ...] = (None, "1", "", True, -1, 1.5, 1 << 70, 1 << 200, [], {})


def run_vector(data: bytes) -> bool:
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


def _vector_message(nonce: int, to: Address, method: int, value: int) -> Message:
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
    name = method_number("Name")
    return [
        _vector("transfer", _vector_message(0, OTHER, 0, 5)),
        _vector("question", _vector_message(0, Address.id(DATACAP_ACTOR), name, 0), _vector_message(1, OTHER, 0, 1)),
        _vector("refused", _vector_message(7, OTHER, 0, 0)),
    ]


def vector_seeds() -> Iterator[bytes]:
    for vector in vectors():
        assert list(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))
        yield json.dumps(vector).encode()


def mutate_vector(data: bytes, rng: Random) -> bytes:
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
        _vector_message(nonce, rng.choice(to), rng.choice(methods), abs(rng.choice(trees.NUMBERS)))
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


VECTOR_TARGET = Target(run_vector, vector_seeds, mutate_vector, share=8, longest=LARGEST, memory=MACHINE)


COMMITTEE = Committee("fuzz", 3)
START = TrustedState(COMMITTEE.network, 0, COMMITTEE.table)


def run_certificate(data: bytes) -> bool:
    return any((_certificate(data), _table(data), _bitfield(data)))


def _certificate(data: bytes) -> bool:
    try:
        certificate = decode_certificate(data)
    except InvalidCertificate:
        return False
    assert decode_certificate(encode_certificate(certificate)) == certificate
    try:
        advance(START, certificate)
    except InvalidCertificate:
        return True
    assert data in VALID, "a certificate that nobody signed is accepted"
    return True


def _table(data: bytes) -> bool:
    try:
        table = decode_power_table(data)
    except InvalidCertificate:
        return False
    assert decode_power_table(encode_power_table(table)) == table
    return True


def _bitfield(data: bytes) -> bool:
    try:
        members = bitfield.positions(bitfield.decode(data), 8192)
    except bitfield.BitfieldError:
        return False
    assert bitfield.encode(bitfield.runs_of(members)) == data
    return True


def _seeds() -> Iterator[bytes]:
    chain = [COMMITTEE.tipset(at, [cid_of(bytes((at,)))] * (1 + at % 3)) for at in range(5)]
    for length, signers in ((1, None), (2, (0, 1)), (5, (0, 2)), (3, (1,))):
        yield encode_certificate(COMMITTEE.certify(0, chain[:length], signers))
    yield encode_certificate(COMMITTEE.certify(1, chain[:2]))
    yield encode_power_table(COMMITTEE.table)
    for members in ((), (0,), (0, 1, 2, 5), tuple(range(3, 40)), (500, 8191)):
        yield bitfield.encode(bitfield.runs_of(members))


def mutate_certificate(data: bytes, rng: Random) -> bytes:
    """Return CBOR with one part changed: in three of four cases to another value of the same type and length."""
    if rng.random() < 0.25:
        return _changed_certificate(data, rng)
    try:
        value = decode_strict(data)
    except CodecError:
        value = decode_strict(VALID[0])
    return encode(_altered(value, rng))


def _altered(value: Any, rng: Random) -> Any:
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return [*value[:at], _altered(value[at], rng), *value[at + 1 :]]
    if isinstance(value, bytes) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.randbytes(1) + value[at + 1 :]
    return rng.choice((0, 1, value ^ 1, rng.getrandbits(62))) if isinstance(value, int) else value


VALID = tuple(_seeds())
_changed_certificate = cbor_mutation(lambda: VALID)
CERTIFICATE_TARGET = Target(run_certificate, lambda: VALID, mutate_certificate, share=40, longest=2048)
