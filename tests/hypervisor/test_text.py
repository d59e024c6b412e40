"""String forms of values, length limits of `repr`, and conversion of printing types to plain numbers."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest

from bridge.abi.abi import PrintedAddress
from bridge.ethereum.addresses import EthAddress
from hypervisor import Address, Bundle, Genesis, Hypervisor, Message, Receipt, Recorder, SignedMessage, call_tree, fil
from hypervisor.errors import Fatal
from hypervisor.gas import GasOutputs
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Created
from hypervisor.messages.message import Signature, SignatureType
from hypervisor.state.state_tree import ActorState
from hypervisor.text import WIDTH, PrintedAmount, PrintedCid, show_fil
from hypervisor.tracing import CallEnded, CallNode, CallStarted, TraceEvent
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount
from store.cid import cid_of

ALICE = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
BOB = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))
LONGEST = Address.bls(bytes(range(48)))
CID = cid_of(b"\x80")
HOSTILE = "\x1b[31m\u202e\n<script>" * 50_000
LARGE = (1 << 127) - 1


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    with Hypervisor.open(genesis=Genesis(accounts={ALICE: fil(100)})) as opened:
        yield opened


# --- scalars ----------------------------------------------------------------------------------------------------------


def test_an_amount_prints_in_fil_and_is_the_number() -> None:
    amount = PrintedAmount(1_500_000_000_000_000_000)
    assert (str(amount), repr([amount]), f"{amount}") == ("1.5 FIL", "[1.5 FIL]", "1.5 FIL")
    assert amount == 15 * 10**17
    assert (f"{amount:d}", f"{amount:,}", json.dumps(amount)) == (
        "1500000000000000000",
        "1,500,000,000,000,000,000",
        "1500000000000000000",
    )
    assert (repr(PrintedAmount(0)), repr(PrintedAmount(-1))) == ("0 FIL", "-0.000000000000000001 FIL")


def test_amount_sums_and_differences_are_amounts_others_are_ints() -> None:
    whole, half = PrintedAmount(10**18), PrintedAmount(5 * 10**17)
    assert (repr(whole - half), repr(whole + half)) == ("0.5 FIL", "1.5 FIL")
    assert {type(each) for each in (whole + 1, 1 + whole, whole - 1, whole * 2, whole // 2)} == {int}


def test_a_balance_a_root_and_a_cid_print_as_text(machine: Hypervisor) -> None:
    machine.apply(Message(BOB, ALICE, value=TokenAmount(1)))
    assert repr(machine.balance(BOB)) == "0.000000000000000001 FIL"
    assert repr(machine.balance(Address.id(999))) == "0 FIL"
    assert str(machine.root).startswith("bafy2bzace")
    assert str(Message(BOB, ALICE).cid()).startswith("bafy2bzace")
    assert machine.root == bytes(machine.root)
    assert hash(machine.root) == hash(bytes(machine.root))


def test_an_ethereum_address_prints_with_its_checksum() -> None:
    # from EIP-55
    address = PrintedAddress(EthAddress(bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")))
    assert str(address) == repr(address) == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def test_invalid_cid_prints_as_hex() -> None:
    assert repr(PrintedCid(b"\x01\x02")) == "0x0102"


def test_address_repr_evaluates_to_same_address() -> None:
    assert repr(Address.id(7)) == "Address.parse('f07')"
    assert eval(repr(LONGEST)) == LONGEST


def test_amount_passed_back_in_is_plain_int_internally(machine: Hypervisor) -> None:
    message = Message(BOB, ALICE, value=machine.balance(ALICE))
    recorder = Recorder()
    machine.tracer = recorder
    result = machine.call(message)
    machine.tracer = None
    assert result.exit_code == 0
    assert type(message.value) is int
    (call,) = call_tree(recorder.events)
    assert type(call.start.value) is int
    with Hypervisor.open(genesis=Genesis(accounts={BOB: machine.balance(ALICE)})) as other:
        state = other.actor(BOB)
    assert state is not None
    assert type(state.balance) is int


# --- a line -----------------------------------------------------------------------------------------------------------


def large(kind: Any, name: str) -> Any:
    """Return the largest, most hostile value for a field of an event."""
    known = {
        "from_": ActorID(1 << 63),
        "params": bytes(1 << 20),
        "return_data": bytes(1 << 20),
        "entries": ((3, HOSTILE[:30], 0x55, bytes(5000)),) * 200,
        "state": ActorState(CID, CID, 1 << 63, TokenAmount(LARGE), LONGEST),
        "name": "ipld::block_link",
        "runtime": "wasm",
        "error": (1 << 31) if kind is int else "INSUFFICIENT_FUNDS",
        "result": bytes(1 << 20),
    }
    if name in known and not (name == "from_" and "Address" in str(kind)):
        return known[name]
    text = str(kind)
    if "Address" in text:
        return LONGEST
    if "Cid" in text:
        return CID
    return HOSTILE if kind is str else True if kind is bool else 1 << 63


EVENTS: list[Any] = [kind for kind in get_args(TraceEvent) if is_dataclass(kind)]


def public_values() -> Iterator[Any]:
    for kind in EVENTS:
        yield kind(**{field.name: large(field.type, field.name) for field in fields(kind)})
    message = Message(LONGEST, LONGEST, 1 << 63, TokenAmount(LARGE), MethodNumber((1 << 64) - 1), bytes(1 << 20))
    receipt = Receipt((1 << 32) - 1, bytes(1 << 20), Gas(1 << 63), CID)
    result = ApplyResult(receipt, GasOutputs(), message=HOSTILE, fatal=Fatal(HOSTILE))
    start = CallStarted(
        ActorID(1 << 63), LONGEST, MethodNumber(1 << 63), TokenAmount(LARGE), bytes(999), 81, False, 1 << 63
    )
    node = CallNode(start, end=CallEnded(1 << 31, bytes(1 << 20), 81, 1 << 63, message=HOSTILE))
    signature = Signature(SignatureType.DELEGATED, bytes(5000))
    yield from (message, receipt, result, node, signature, SignedMessage(message, signature))
    yield from (Created(ActorID(1 << 63), Address.actor(b""), result), Genesis(HOSTILE, {LONGEST: TokenAmount(LARGE)}))
    yield from (Bundle.embedded(), Bundle.embedded().manifest, LONGEST, ActorState(CID))


@pytest.mark.parametrize("value", list(public_values()), ids=lambda value: type(value).__name__)
def test_a_repr_fits_a_line_whatever_is_in_it(value: Any) -> None:
    shown = repr(value)
    assert shown.isprintable()
    assert len(shown) <= WIDTH


def test_machine_and_result_repr_are_concise(machine: Hypervisor) -> None:
    result = machine.apply(Message(BOB, ALICE, value=fil(3)))
    assert repr(machine) == "Hypervisor(filecoin, network version 29, epoch 0, chain id 31415926)"
    assert repr(result) == f"ApplyResult(exit OK, gas {result.gas_used:,}, return empty)"
    assert repr(Message(Address.id(101), Address.id(100), value=fil(3))) == (
        "Message(f0100 -> f0101, method 0, 3 FIL, nonce 0)"
    )
    assert repr(Receipt(33, b"\x01", Gas(1234))) == "Receipt(exit EVM_CONTRACT_REVERTED, gas 1,234, return 0x01)"


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (1, "0.000000000000000001 FIL"), (15 * 10**17, "1.5 FIL"), (-(10**18), "-1 FIL")]
)
def test_attofil_are_shown_exactly(amount: int, text: str) -> None:
    assert show_fil(amount) == text
