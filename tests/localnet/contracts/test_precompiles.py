"""Users' precompiles on a network: both rule sets, both engines, functions and modules.

Expected: costs and effects of the network's own precompiles, hashlib's SHA-256, sums computed by hand.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.gas import DEFAULT_RATE
from hypervisor.errors import InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine import rules as machine_rules
from hypervisor.precompiles import MAX_MODULE_BYTES, MAX_OUTPUT_BYTES, Precompile
from localnet import Network
from localnet.contracts.registered_precompiles import offer_precompiles
from localnet.errors import CallFailed, TransactionFailed
from localnet.preinstalled import CREATE2_DEPLOYER, MULTICALL3
from localnet.state.controls import code_of, set_code
from runtimes.evm.contracts.precompiles import registered
from store.keccak import keccak
from tests.conftest import samples
from tests.runtimes.evm.assembler import assemble, deployer

PLACE = "0x0000000000000000000000000000000000000a00"
"""An address with one nonzero byte like the network's own, so that calldata costs are equal."""
IDENTITY, CURVE, EMPTY_SLOT = ("0x" + f"{number:040x}" for number in (4, 6, 0xA0))
RULES = ["filecoin", "ethereum"]
ENGINES = ["py-evm", "fast"]
WORD = 32
CALLEE = "0x" + "cc" * 20

FORWARD = "32 CALLDATASIZE SUB 32 0 CALLDATACOPY"
"""Code that copies the calldata after its first word, an address, to the start of memory."""
INPUT = "0 0 32 CALLDATASIZE SUB 0"
"""Stack operands of a call, top first: calldata offset and size, and no space for the output."""
TO = "0 CALLDATALOAD"
ASK = f"{FORWARD} {INPUT} {TO} GAS STATICCALL"
OUTPUT = "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN"
ANSWERS = f"{ASK} @good JUMPI 0 0 REVERT good: {OUTPUT}"
INVERTS = """(module (memory (export "memory") 2)
  (func (export "allocate") (param i32) (result i32) i32.const 1024)
  (func (export "run") (param $at i32) (param $size i32) (result i64)
    (local $i i32)
    (block $end (loop $next
      (br_if $end (i32.ge_u (local.get $i) (local.get $size)))
      (i32.store8 (i32.add (local.get $at) (local.get $i))
        (i32.xor (i32.const 255) (i32.load8_u (i32.add (local.get $at) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $size)))))"""


def module(text: str) -> bytes:
    return bytes(wat2wasm(text))


def body(text: str) -> bytes:
    """Return a module whose `run` has this body."""
    return module(
        '(module (memory (export "memory") 1) (func (export "allocate") (param i32) (result i32) i32.const 16)'
        f' (func (export "run") (param i32 i32) (result i64) {text}))'
    )


def own(function: Callable[[bytes], Any] | None = None, **fields: Any) -> Precompile:
    given = {"gas": 15, "gas_per_word": 3, "address": PLACE, "name": "own", **fields}
    return Precompile(function=function, **given)


@dataclass
class PrecompileCaller:
    """A network with a contract that calls an address."""

    network: Network
    at: Any

    def __call__(self, address: str, data: bytes = b"") -> bytes:
        return self.network.call(self.at, _calldata(address, data))

    def gas(self, address: str, data: bytes = b"") -> int:
        return self.network.send(self.at, 0, _calldata(address, data)).gas_used


def _calldata(address: str, data: bytes) -> bytes:
    return bytes.fromhex(address[2:]).rjust(WORD, b"\0") + data


@pytest.fixture(params=RULES)
def rules(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(params=ENGINES)
def evm(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def precompile_caller(rules: str, evm: str) -> Iterator[Callable[..., PrecompileCaller]]:
    made: list[Network] = []

    def make(*rows: Precompile, code: str = ANSWERS) -> PrecompileCaller:
        network = Network(rules=rules, evm=evm, precompiles=rows)
        made.append(network)
        receipt = network.send(None, 0, deployer(assemble(code)))
        return PrecompileCaller(network, receipt.contract_address)

    yield make
    for network in made:
        network.close()


def test_function_precompile_answers_contracts(precompile_caller: Callable[..., PrecompileCaller]) -> None:
    asked = precompile_caller(own(lambda data: hashlib.sha256(data).digest()))
    assert asked(PLACE, b"hello") == hashlib.sha256(b"hello").digest() == asked("0x" + "00" * 19 + "02", b"hello")


def test_wasm_precompile_answers_contracts(precompile_caller: Callable[..., PrecompileCaller]) -> None:
    asked = precompile_caller(own(module=module(INVERTS)))
    data = bytes(range(256)) * 5
    assert asked(PLACE, data) == bytes(255 - byte for byte in data)
    assert asked(PLACE) == b""


@pytest.mark.parametrize("rules", ["ethereum"])
@pytest.mark.parametrize("size", [0, 1, 32, 33, 1000])
def test_precompile_cost_matches_network_under_ethereum_rules(
    precompile_caller: Callable[..., PrecompileCaller], size: int
) -> None:
    """The identity costs 15 gas and 3 for each word."""
    asked = precompile_caller(own(bytes))
    data = bytes([7]) * size
    assert asked(PLACE, data) == data
    assert asked.gas(PLACE, data) == asked.gas("0x" + "00" * 19 + "04", data)


@pytest.mark.parametrize("rules", ["filecoin"])
def test_precompile_cost_is_exchange_rate_price_under_filecoin(
    precompile_caller: Callable[..., PrecompileCaller],
) -> None:
    """An unused precompile slot of the network costs nothing itself, and has as many nonzero bytes."""
    asked = precompile_caller(own(lambda _: b"", gas=1_000_000, gas_per_word=50_000))
    price = (1_000_000 + 2 * 50_000) * DEFAULT_RATE // MILLIGAS_PER_GAS
    assert asked(EMPTY_SLOT, bytes(33)) == asked(PLACE, bytes(33)) == b""
    found = asked.gas(PLACE, bytes(33)) - asked.gas(EMPTY_SLOT, bytes(33))
    assert price <= found <= price + 1  # gas of a message is rounded up


@pytest.mark.parametrize("opcode", ["EXTCODESIZE", "EXTCODEHASH", "BALANCE", "EXTCODECOPY"])
def test_custom_precompile_account_matches_network_precompile(
    precompile_caller: Callable[..., PrecompileCaller], opcode: str
) -> None:
    """Code, hash and balance are equal; under Ethereum's rules it is warm, so the gas is equal, too."""
    asks = f"5 0 0 {TO} EXTCODECOPY 0 MLOAD" if opcode == "EXTCODECOPY" else f"{TO} {opcode}"
    asked = precompile_caller(own(bytes), code=f"{asks} 0 MSTORE 32 0 RETURN")
    assert asked(PLACE) == asked(IDENTITY)
    assert asked.gas(PLACE) == asked.gas(IDENTITY)


@pytest.mark.parametrize("kind", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
def test_every_call_opcode_reaches_custom_precompile(
    precompile_caller: Callable[..., PrecompileCaller], rules: str, kind: str
) -> None:
    value = "0" if kind in ("CALL", "CALLCODE") else ""
    asked = precompile_caller(
        own(lambda data: data[::-1]),
        code=f"{FORWARD} {INPUT} {value} {TO} GAS {kind} @good JUMPI 0 0 REVERT good: {OUTPUT}",
    )
    if kind == "CALLCODE" and rules == "filecoin":  # which has no such opcode
        with pytest.raises(CallFailed):
            asked(PLACE, b"abc")
        return
    assert asked(PLACE, b"abc") == b"cba"


def test_money_stays_at_its_address(precompile_caller: Callable[..., PrecompileCaller]) -> None:
    asked = precompile_caller(own(bytes), code=f"{FORWARD} {INPUT} 5 {TO} GAS CALL 0 MSTORE 32 0 RETURN")
    network = asked.network
    network.send(asked.at, 5, _calldata(PLACE, b"abc"))
    assert network.balance(network.address(PLACE)) == 5
    assert network.call(asked.at, _calldata(PLACE, b"abc"), 5) == (1).to_bytes(WORD, "big")


# --- failures --------------------------------------------------------------------------------------------------------


def raises(_: bytes) -> bytes:
    raise ValueError("no such curve")


def endless(_: bytes) -> bytes:
    return endless(_)


FAILURES = [
    pytest.param({"function": raises}, "it raised ValueError: no such curve", id="raises"),
    pytest.param({"function": endless}, "it raised RecursionError: ", id="without an end"),
    pytest.param({"function": lambda _: "text"}, "it returned a value of type str, expected bytes", id="text"),
    pytest.param({"function": lambda _: None}, "it returned a value of type NoneType", id="nothing"),
    pytest.param({"function": lambda _: bytes(MAX_OUTPUT_BYTES + 1)}, "it returned 1,048,577 bytes", id="too long"),
    pytest.param({"module": body("unreachable")}, "the module trapped: unreachable instruction executed", id="traps"),
    pytest.param(
        {"module": body("(loop br 0) unreachable")},
        "the module exceeded the limit of 50,000,000 instructions",
        id="loops",
    ),
    pytest.param({"module": body("i64.const -1")}, "run returned 4,294,967,295 bytes at 4294967295", id="beyond"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fields", "words"), FAILURES)
def test_precompile_failure_fails_only_call_and_is_traced(
    precompile_caller: Callable[..., PrecompileCaller], rules: str, fields: dict[str, Any], words: str
) -> None:
    asked = precompile_caller(own(**fields), code=f"{ASK} 0 MSTORE RETURNDATASIZE 32 MSTORE 64 0 RETURN")
    assert asked(PLACE, b"abc") == bytes(64)
    receipt = asked.network.send(asked.at, 0, _calldata(PLACE, b"abc"))
    shown = str(asked.network.trace(receipt.hash))
    assert "precompile own(0x616263)" in shown
    assert words in shown


@pytest.mark.parametrize("rules", ["ethereum"])
def test_precompile_failure_takes_all_gas_under_ethereum_rules(
    precompile_caller: Callable[..., PrecompileCaller],
) -> None:
    """Compare with a network precompile that fails: a point that is not on its curve."""
    code = f"{FORWARD} {INPUT} {TO} 100000 STATICCALL 0 MSTORE 32 0 RETURN"
    asked = precompile_caller(own(raises), code=code)
    point = (1).to_bytes(WORD, "big") * 2
    assert asked(PLACE, point) == asked(CURVE, point) == bytes(WORD)
    assert asked.gas(PLACE, point) == asked.gas(CURVE, point)


@pytest.mark.parametrize("rules", ["filecoin"])
def test_precompile_failure_costs_at_most_price_under_filecoin(
    precompile_caller: Callable[..., PrecompileCaller],
) -> None:
    code = f"{FORWARD} {INPUT} {TO} 100000 STATICCALL POP 32 0 RETURN"
    failing, working = precompile_caller(own(raises), code=code), precompile_caller(own(lambda _: b""), code=code)
    assert failing.gas(PLACE, b"abc") == working.gas(PLACE, b"abc")


def test_precompile_without_enough_gas_does_not_run(
    precompile_caller: Callable[..., PrecompileCaller], rules: str
) -> None:
    ran: list[bytes] = []

    def notes(data: bytes) -> bytes:
        ran.append(data)
        return b""

    asked = precompile_caller(own(notes, gas=1 << 60), code=f"{ASK} 0 MSTORE 32 0 RETURN")
    if rules == "ethereum":
        assert asked(PLACE) == bytes(WORD)
    else:
        with pytest.raises(CallFailed):  # a precompile is paid by the frame that calls it
            asked(PLACE)
    assert ran == []


# --- traces ----------------------------------------------------------------------------------------------------------


def test_precompile_trace_shows_name_arguments_and_result(precompile_caller: Callable[..., PrecompileCaller]) -> None:
    def add(data: bytes) -> bytes:
        words = data[-2 * WORD :]
        return (int.from_bytes(words[:WORD], "big") + int.from_bytes(words[WORD:], "big")).to_bytes(WORD, "big")

    asked = precompile_caller(own(add, name="adder", signature="add(uint256,uint256)(uint256)"))
    network, numbers = asked.network, (40).to_bytes(WORD, "big") + (2).to_bytes(WORD, "big")
    selector = bytes(keccak(b"add(uint256,uint256)"))[:4]
    for data in (numbers, selector + numbers):
        receipt = network.send(asked.at, 0, _calldata(PLACE, data))
        trace = network.trace(receipt.hash)
        assert trace.reproduced
        call = trace.report()["calls"][0]["calls"][-1]["decoded"]
        assert (call["callee"], call["function"], call["arguments"], call["result"]) == (
            "precompile", "adder", "(40, 2)", "42",
        )  # fmt: skip


def test_a_network_without_precompiles_has_none(precompile_caller: Callable[..., PrecompileCaller], rules: str) -> None:
    with Network(rules=rules) as other:
        assert other.machine.context.precompiles is None
    asked = precompile_caller(code=f"{ASK} 0 MSTORE RETURNDATASIZE 32 MSTORE 64 0 RETURN")
    assert asked(PLACE, b"abc") == (1).to_bytes(WORD, "big") + bytes(WORD)  # no actor there: the call succeeds


def test_machine_fork_keeps_precompiles_and_state_is_unchanged(rules: str) -> None:
    def clock() -> int:
        return 1_700_000_000

    with (
        Network(rules=rules, clock=clock) as plain,
        Network(rules=rules, clock=clock, precompiles=[own(bytes)]) as other,
    ):
        for network in (plain, other):
            network.send(network.accounts[1], 5)
        assert plain.machine.root == other.machine.root
        assert other.machine.fork().context.precompiles is other.machine.context.precompiles


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gas": -1}, "-1 cannot be the gas of precompile 'own'"),
        ({"gas": 1.5}, "1.5 cannot be the gas of precompile 'own'"),
        ({"gas": True}, "True cannot be the gas of precompile 'own'"),
        ({"gas_per_word": "3"}, "'3' cannot be the gas per word of precompile 'own'"),
        ({"name": "a b"}, "'a b' is not a valid precompile name"),
        ({"name": "sha256"}, "'sha256' has the name of a built-in precompile"),
        ({"name": "call_actor"}, "'call_actor' has the name of a built-in precompile"),
        ({"address": "0xa11"}, "'0xa11' is not an address"),
        ({"address": 0xA11}, "2577 is not an address"),
        ({"address": "0x" + "00" * 20}, "cannot be at the zero address"),
        ({"address": "0x" + "00" * 19 + "04"}, "which is built in or reserved"),
        ({"address": "0x" + "00" * 19 + "ff"}, "which is built in or reserved"),
        ({"address": "0x" + "00" * 18 + "0100"}, "which is built in or reserved"),
        ({"address": "0xfe" + "00" * 18 + "07"}, "which is built in or reserved"),
        ({"address": "0xff" + "00" * 18 + "64"}, "the masked ID of an actor"),
        ({"function": None}, "needs a function or a WASM module, but has neither"),
        ({"module": b"\0asm"}, "needs a function or a WASM module, but has both"),
        ({"function": "add"}, "'add' is not a function of the calldata"),
        ({"signature": "add(uint7)"}, "'add(uint7)' is not a function"),
        ({"function": None, "module": "text"}, "'text' cannot be the module of precompile 'own'"),
        ({"function": None, "module": bytes(MAX_MODULE_BYTES + 1)}, "the module has 1,048,577 bytes"),
        ({"function": None, "module": b"text"}, "precompile 'own': WASM module: failed to parse"),
        ({"function": None, "module": module("(module)")}, "the module does not export a memory 'memory'"),
        (
            {"function": None, "module": module('(module (memory (export "memory") 1))')},
            "the module does not export a function 'allocate' (i32) -> (i32)",
        ),
        (
            {"function": None, "module": module(INVERTS.replace('(export "run")', ""))},
            "the module does not export a function 'run' (i32, i32) -> (i64)",
        ),
        (
            {"function": None, "module": module(INVERTS.replace('"memory") 2', '"memory") 300'))},
            "memory minimum size of 300 pages exceeds memory limits",
        ),
        (
            {
                "function": None,
                "module": module('(module (import "ipld" "block_open" (func)) (memory (export "memory") 1))'),
            },
            "unknown import",
        ),
    ],
)
def test_invalid_precompile_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(words)):
        Network(precompiles=[own(**{"function": bytes, **fields})])


def test_a_module_that_is_compiled_for_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compilation is simulated to take too long, as for a module with 142,000 nested loops."""
    done = Event()
    monkeypatch.setattr(registered, "load_or_compile", lambda *_: done.wait())
    monkeypatch.setattr(registered, "SECONDS", 0.05)
    try:
        with pytest.raises(InvalidInput, match="'own': the module was not compiled within 0"):
            Network(precompiles=[own(module=module(INVERTS))])
    finally:
        done.set()


def test_two_of_one_name_or_address_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'own' is registered twice"):
        Network(precompiles=[own(bytes), own(bytes, address=PLACE.replace("a", "b"))])
    with pytest.raises(InvalidInput, match="'own' and 'other' are both at 0x0"):
        Network(precompiles=[own(bytes), own(bytes, name="other")])


def test_one_at_a_contract_is_refused(rules: str) -> None:
    with Network(rules=rules) as network:
        there = network.send(None, 0, deployer(assemble(ANSWERS))).contract_address
        assert there is not None
        before = network.machine.context
        with pytest.raises(InvalidInput, match="which is a contract's"):
            offer_precompiles(network.machine, [own(bytes, address=f"0x{there.hex()}")])
        assert network.machine.context is before


def test_non_precompiles_and_uninstalled_names_are_refused() -> None:
    with pytest.raises(InvalidInput, match="precompile 'gone' is not installed: expected one of ethereum_proof"):
        Network(precompiles=["gone"])
    with pytest.raises(InvalidInput, match="5 is not a precompile"):
        Network(precompiles=[5])


# --- those that packages register ------------------------------------------------------------------------------------

INSTALLED = own(lambda data: data[::-1], name="backwards")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register three precompiles as a package would."""
    group = machine_rules.PRECOMPILES_GROUP
    values = {"backwards": "INSTALLED", "wrong": "PLACE", "gone": "NOBODY"}
    points = EntryPoints(EntryPoint(name, f"{__name__}:{value}", group) for name, value in values.items())
    monkeypatch.setattr(machine_rules, "entry_points_of", lambda group: points.select(group=group))


@pytest.mark.usefixtures("installed")
def test_one_that_a_package_registers_is_on_by_its_name(rules: str) -> None:
    with Network(rules=rules, precompiles=["backwards"]) as network:
        at = network.send(None, 0, deployer(assemble(ANSWERS))).contract_address
        assert network.call(at, _calldata(PLACE, b"abc")) == b"cba"


@pytest.mark.usefixtures("installed")
def test_wrong_package_registrations_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"'wrong' is registered as .*:PLACE, which is not a Precompile"):
        Network(precompiles=["wrong"])
    with pytest.raises(InvalidInput, match=r"'gone' is registered as .*:NOBODY, which cannot be loaded"):
        Network(precompiles=["gone"])
    with pytest.raises(InvalidInput, match="'other' is not installed: expected one of backwards, gone, wrong"):
        Network(precompiles=["other"])


# --- random programs -------------------------------------------------------------------------------------------------

STEPS = [
    f"{size} 0 {size} 0 {value} {address} GAS CALL ADD"
    for address in (PLACE, "0xa02", CALLEE)
    for size, value in ((0, 0), (33, 1))
] + [
    f"32 0 64 0 {PLACE} 5000 STATICCALL ADD",
    f"32 0 5 32 {PLACE} GAS DELEGATECALL ADD",
    "32 0 64 0 0xa02 3000 STATICCALL ADD",
    f"{PLACE} EXTCODESIZE ADD",
    f"{PLACE} EXTCODEHASH ADD",
    f"{PLACE} BALANCE ADD",
    "DUP1 1 SSTORE",
    "2 SLOAD 1 ADD DUP1 2 SSTORE ADD",
    "RETURNDATASIZE ADD",
    "GAS 0 MSTORE",
    "DUP1 32 MSTORE",
    "32 0 LOG0",
]
ENDS = ["0 MSTORE 32 0 RETURN", "0 MSTORE 32 0 REVERT", f"{PLACE} SELFDESTRUCT"]


def outcome(rules: str, evm: str, code: str, callee: str) -> tuple[Any, ...]:
    """Return the outcome of a message to a contract, and the state root after it."""
    rows = [own(lambda data: data[::-1]), own(raises, name="failing", address="0x" + "00" * 18 + "0a02")]
    with Network(rules=rules, evm=evm, precompiles=rows, clock=lambda: 1_700_000_000) as network:
        set_code(network.machine, to_filecoin(EthAddress(bytes.fromhex(CALLEE[2:]))), assemble(callee))
        at = network.send(None, 10, deployer(assemble(code))).contract_address
        assert at is not None
        try:
            receipt = network.send(at, 100, gas_limit=2_000_000 if rules == "ethereum" else None)
        except (TransactionFailed, CallFailed) as failed:
            return str(failed), network.machine.root
        return receipt.execution.receipt, network.machine.root


@pytest.mark.slow
@settings(max_examples=samples(60))
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=12),
    inner=st.lists(st.sampled_from([step for step in STEPS if CALLEE not in step]), max_size=6),
    ends=st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)),
    rules=st.sampled_from(RULES),
)
def test_random_programs_end_alike_on_both_engines(
    steps: list[str], inner: list[str], ends: tuple[str, str], rules: str
) -> None:
    """Nested calls with changes before and after those of precompiles: the fast engine leaves its call trees there."""
    code, callee = (f"0 {' '.join(body)} {end}" for body, end in zip((steps, inner), ends, strict=True))
    assert outcome(rules, "fast", code, callee) == outcome(rules, "py-evm", code, callee)


CODE_HASHES = {  # what explorers and deployment scripts of many chains pin
    MULTICALL3: "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
    CREATE2_DEPLOYER: "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
}


@pytest.mark.parametrize("address", CODE_HASHES, ids=lambda address: address.hex()[:8])
def test_the_code_is_the_networks_on_both_bundles(either: Network, address: bytes) -> None:
    code = code_of(either.machine, to_filecoin(either.address(address)))
    assert keccak(code).hex() == CODE_HASHES[either.address(address)]


def test_multicall3_aggregates_chain_id_query(either: Network) -> None:
    data = bytes.fromhex(  # aggregate3([(MULTICALL3, false, getChainId())])
        "82ad56cb" + f"{32:064x}{1:064x}{32:064x}" + MULTICALL3.hex().rjust(64, "0") + f"{0:064x}{96:064x}{4:064x}"
        "3408e470".ljust(64, "0")
    )  # fmt: skip
    result = either.call(MULTICALL3, data)
    assert result[-32:] == (31415926).to_bytes(32, "big")


def test_deployer_creates_at_create2_address(either: Network) -> None:
    init_code = bytes.fromhex("6001600c60003960016000f300")  # leaves one byte of code: STOP
    receipt = either.send(CREATE2_DEPLOYER, 0, bytes(32) + init_code)
    expected = keccak(b"\xff" + CREATE2_DEPLOYER + bytes(32) + keccak(init_code))[12:]  # EIP-1014
    assert receipt.return_data == expected
    assert code_of(either.machine, to_filecoin(either.address(expected))) == b"\0"


@pytest.mark.slow
def test_bare_network_lacks_preinstalled_code_and_keeps_chain_id(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", bare=True, chain_id=31337, network=24) as network:
        assert network.chain_id == 31337
        assert [code_of(network.machine, to_filecoin(address)) for address in CODE_HASHES] == [b"", b""]
    with Network(tmp_path / "chain") as network:
        assert network.chain_id == 31337
        network.set_code(MULTICALL3, bytes.fromhex("465f5260205ff3"))  # answers CHAINID
        assert network.call(MULTICALL3) == (31337).to_bytes(32, "big")
    with pytest.raises(InvalidInput, match="chain ID is 31337, not 5"):
        Network(tmp_path / "chain", chain_id=5)


@pytest.mark.parametrize("number", [0, -1, 1 << 53])
def test_a_number_that_no_tool_takes_is_no_chain_id(number: int) -> None:
    with pytest.raises(InvalidInput, match="cannot be a chain id"):
        Network(chain_id=number)
