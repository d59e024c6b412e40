"""Ethereum transactions: decoded ones have one encoding, and their message converts back to it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.rlp import Item, RlpError
from bridge.ethereum.transactions import Transaction, TransactionError, parse_transaction
from bridge.filecoin.messages import from_signed_message, signed_message
from hypervisor.errors import AddressError
from tests.fuzz import trees
from tests.fuzz.target import Target
from tests.planting import replace_attribute

CHAIN = 31415926
SENDER = EthAddress(bytes(range(1, 21)))


def run(data: bytes) -> bool:
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


def seeds() -> Iterator[bytes]:
    key = bytes(31) + b"\x07"
    for kind, chain in ((0, None), (0, CHAIN), (0, 1), (1, CHAIN), (2, CHAIN), (2, 2**64 - 1)):
        for to, data in ((SENDER, b""), (None, b"\x60\0" * 40), (EthAddress(b"\xff" + bytes(18) + b"\x64"), b"data")):
            fee = 10**9
            tip = fee if kind < 2 else 5
            yield Transaction(kind, chain, 7, to, 10**18, data, 10**7, fee, tip).sign(key).raw()


def mutate(data: bytes, rng: Random) -> bytes:
    """Change one or several fields."""
    head, body = (data[:1], data[1:]) if data[:1] in (b"\1", b"\2") else (b"", data)
    try:
        fields = rlp.read_list(rlp.decode(body))
    except RlpError:
        return rng.choice([*seeds()])
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


def _lax() -> None:
    def read_number(item: Item, length: int = 32) -> int:
        return int.from_bytes(rlp.read_bytes(item), "big")

    replace_attribute(rlp, "read_number", read_number)


TARGET = Target(run, seeds, mutate, share=15, longest=600, plants={"numbers with leading zeros": _lax})
