"""The generated Python modules: encoding of parameters for the actors, and decoding of return values."""

import dataclasses
import subprocess
import sys
from importlib import import_module
from inspect import isfunction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.actors.binding import Call, Codec, Struct
from bridge.actors.schemas import actor_schema, methods
from bridge.bindings import common, datacap, multisig, reward, storagemarket, storageminer, storagepower
from hypervisor.builtin_actors.schemas import NAMES
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from store.cid import CBOR, cid_of
from store.codec import CodecError, decode, encode, link
from store.schema.types import Bytes, Kinded, Link, List, SchemaError, Simple, Term, Unit
from store.schema.types import Struct as StructType
from store.schema.types import Union as UnionType
from tests.hypervisor.builtin_actors.test_same_market import Deal

ALICE, BOB = Address.id(ActorID(100)), Address.id(ActorID(101))
CID = cid_of(b"cid", CBOR)
U64, I64, U32 = (0, 2**64 - 1), (-(2**63), 2**63 - 1), (0, 2**32 - 1)
RUST = {
    **dict.fromkeys(
        ("ActorID", "SectorNumber", "DealID", "AllocationID", "MethodNum", "PaddedPieceSize", "StreamID", "Fraction"),
        U64,
    ),
    **dict.fromkeys(("DeadlineIndex", "PartitionIndex", "ReplaceOutcome"), U64),
    **dict.fromkeys(("ChainEpoch", "TxnID", "RegisteredProof", "Slope"), I64),
    "ExitCode": U32,
    "OperationNumber": (0, (1 << 8) - 1),
}
"""Smallest and largest values of types that are Rust integers in fvm_shared and the official actors."""


def test_calls_are_the_bytes_that_are_written_by_hand() -> None:
    proposed = multisig.propose(ALICE, 10**18, 0, b"\x80")
    assert (proposed.method, proposed.params.hex()) == (2, "84420064490" + "00de0b6b3a7640000" + "004180")
    assert multisig.approve(7, b"").params == bytes.fromhex("820740")
    assert datacap.balance(BOB) == Call(MethodNumber(3261979605), bytes.fromhex("420065"), datacap.balance(BOB)._decode)
    assert storagepower.miner_count().params == b""


def test_returns_are_decoded_into_types() -> None:
    assert multisig.approve(7, b"").decode_return(bytes.fromhex("83f50040")) == multisig.ApproveReturn(True, 0, b"")
    assert storagepower.miner_count().decode_return(b"\x05") == 5
    multisig.cancel(1, b"").decode_return(b"")
    owner = storageminer.get_owner().decode_return(bytes.fromhex("82420064f6"))
    assert owner == storageminer.GetOwnerReturn(ALICE, None)
    assert storagemarket.get_deal_label(1).decode_return(encode("text")) == "text"
    assert storagemarket.get_deal_label(1).decode_return(encode(b"\xff")) == b"\xff"
    assert reward.constructor(None).params == b"\xf6"
    assert reward.constructor(5).params == bytes.fromhex("420005")


def test_deal_encoding_equals_that_of_market_actor_tests() -> None:
    written = encode([[Deal(ALICE).signed()]])
    params = storagemarket.PublishStorageDealsParams.decode(written)
    assert params.encode() == written
    (deal,) = params.deals
    assert deal.proposal.provider == ALICE
    assert storagemarket.publish_storage_deals([deal]).params == written


WRONG: dict[str, tuple[Any, str]] = {
    "a number in place of an address": (lambda: datacap.balance(5), "expected an address"),  # type: ignore[arg-type]  # wrong on purpose
    "text in place of bytes": (lambda: multisig.approve(1, "x"), "proposal_hash: expected bytes"),  # type: ignore[arg-type]  # wrong on purpose
    "truth in place of a number": (lambda: multisig.approve(True, b""), "id: expected an integer"),
    "an amount that is too large": (lambda: multisig.propose(ALICE, 1 << 1024, 0, b""), "value: "),
    "an id below 0": (lambda: storagemarket.get_deal_client(-1), "expected a number from 0 to 18446744073709551615"),
    "an id beyond 63 bits": (lambda: multisig.approve(1 << 63, b""), "id: expected a number from -9223372036854775808"),
    "a number too long to be written out": (lambda: multisig.approve(10**5000, b""), "id: expected a number"),
    "one of a list": (lambda: multisig.constructor([ALICE, 5], 1, 0, 0), "signers/1: expected an address"),  # type: ignore[list-item]  # wrong on purpose
}


@pytest.mark.parametrize("case", WRONG)
def test_a_value_of_the_wrong_kind_is_refused_with_its_path(case: str) -> None:
    call, words = WRONG[case]
    with pytest.raises(SchemaError, match=words):
        call()


ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "too few": bytes.fromhex("82f500"),
    "another kind": bytes.fromhex("83f5f540"),
    "trailing bytes": bytes.fromhex("83f5004000"),
    "an exit code below 0": bytes.fromhex("83f52040"),
    "an exit code beyond 32 bits": bytes.fromhex("83f51b000000010000000040"),
    "no list": b"\xf6",
}


@pytest.mark.parametrize("case", ANSWERS)
def test_return_of_another_shape_is_refused(case: str) -> None:
    with pytest.raises((SchemaError, CodecError)):
        multisig.approve(1, b"").decode_return(ANSWERS[case])


def test_return_where_none_is_expected_is_refused() -> None:
    with pytest.raises(SchemaError, match="expected no return value"):
        multisig.cancel(1, b"").decode_return(b"\xf6")


# --- every type -----------------------------------------------------------------------------------------------------


def data_of(actor: str, term: Term, nullable: bool = False) -> st.SearchStrategy[Any]:
    """Generate data of a schema type in the data model."""
    if nullable:
        return st.none() | data_of(actor, term)
    schema = actor_schema(actor)
    name = schema.name_of(term) if isinstance(term, str) else ""
    if name in ("BigInt", "TokenAmount", "DataCap"):
        return st.sampled_from([b"", b"\0\1", b"\1\xff", b"\0" + b"\xff" * 40])
    if name == "Address":
        return st.sampled_from([ALICE.to_bytes(), BOB.to_bytes(), Address.delegated(10, bytes(20)).to_bytes()])
    if name in RUST:
        least, largest = RUST[name]
        return st.integers(least, largest) | st.sampled_from([least, largest])
    kind = schema.type_of(term)
    match kind:
        case Simple("int"):
            return st.integers(-(2**64), 2**64 - 1)
        case Simple("bool"):
            return st.booleans()
        case Simple("string"):
            return st.text(max_size=5)
        case Bytes():
            return st.binary(max_size=5)
        case Unit("null"):
            return st.none()
        case Link():
            return st.just(link(CID))
        case List(value, inner):
            return st.lists(data_of(actor, value, inner), max_size=3)
        case StructType(fields):
            return st.tuples(*(data_of(actor, part.type, part.nullable) for part in fields.values())).map(list)
        case UnionType(members, Kinded()):
            return st.one_of([data_of(actor, member) for member in members.values()])
        case _:
            raise AssertionError(kind)


TYPES = [
    (actor, name)
    for actor in NAMES
    for method in {method.name: method for method in methods(actor).values()}.values()
    for name in (method.params, method.returns)
    if name is not None
]


@pytest.mark.slow
@given(st.data())
def test_binding_codec_matches_schema_for_params_and_returns(data: Any) -> None:
    actor, name = data.draw(st.sampled_from(TYPES))
    raw = encode(data.draw(data_of(actor, name)))
    codec: Codec = import_module(f"bridge.bindings.{actor}").CODEC
    value = codec.decode(name, raw)
    assert codec.encode(name, value) == raw
    schema = actor_schema(actor)
    assert encode(schema.write(name, schema.read(name, decode(raw)))) == raw
    if isinstance(value, Struct):
        record = schema.read(name, decode(raw))
        for field, python in zip(record, dataclasses.fields(value), strict=True):  # type: ignore[arg-type]  # a dataclass
            assert python.name.rstrip("_") == field


@pytest.mark.parametrize("actor", NAMES)
def test_every_method_of_an_actor_has_a_function(actor: str) -> None:
    module = import_module(f"bridge.bindings.{actor}")
    numbers = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)}
    assert numbers <= set(methods(actor))
    shared = {method.name for method in methods("placeholder").values()}
    named = {methods(actor)[MethodNumber(number)].name for number in numbers}
    assert {method.name for method in methods(actor).values()} - shared <= named
    calls = [
        name
        for name, value in vars(module).items()
        if isfunction(value) and isinstance(vars(module).get(name.upper()), int)
    ]
    assert len(calls) == len(numbers)


def test_shared_types_are_one_class() -> None:
    assert storageminer.CODEC.class_of("BatchReturn") is common.BatchReturn
    with pytest.raises(KeyError, match="no class Nonsense"):
        storageminer.CODEC.class_of("Nonsense")


def test_amounts_are_numbers_and_addresses_addresses() -> None:
    params = multisig.ProposeParams.decode(multisig.propose(ALICE, -5, 9, b"").params)
    assert params == multisig.ProposeParams(ALICE, TokenAmount(-5), MethodNumber(9), b"")


@pytest.mark.slow
def test_importing_a_module_parses_no_schema() -> None:
    code = (
        "import sys; from bridge.bindings import storageminer; import bridge.actors.schemas as schemas;"
        "assert schemas.actor_schema.cache_info().currsize == 0; assert 'wasmtime' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
