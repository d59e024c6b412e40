"""Contracts and native actors under Ethereum's rules: gas, value, refusals and depth of calls between them.

The native actor is the puppet of the crossing trees, which executes its parameters. Expected: Ethereum's gas on one
side, the network's milligas on the other, 444,000 of these per unit of gas, rounded up (FIP-0057's average, as under
Filecoin's rules).
"""

from dataclasses import dataclass, field

import pytest
from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, create2_address, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.cbor import byte_string, read_byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CreateReturn, unwrap_return
from hypervisor.bundles.genesis import Genesis
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ErrorNumber
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.threads import LEVELS_PER_STACK
from hypervisor.tracing import CallEnded, CallStarted, GasCharged, Recorder, TraceEvent
from hypervisor.types import DATACAP_ACTOR, EAM_ACTOR, EAM_NAMESPACE, ActorID, Gas, MethodNumber, TokenAmount
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.forks.validation import InvalidTransaction
from runtimes.evm.revm import EthereumExecutor
from store.cid import CBOR
from store.codec import encode
from tests.crossing.trees import Script, puppet
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import call, word
from tests.runtimes.wasm.guests import guest, imports, install_actor, wasm

RATE = 444_000
SENDER, CALLER, STORER = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC))
PUPPET = 1000
FUNDS = 500
CALL_ACTOR_ID = (0xFE << 152) + 5
KEY_ACCOUNT = Address.secp256k1(b"\x04" + b"\x07" * 64)
STORES_AND_LOGS = assemble("1 0 SLOAD ADD 0 SSTORE 0 0 LOG0 CALLVALUE 0 MSTORE 32 0 RETURN")


@dataclass
class Machine:
    """A machine with the puppet actor, a sender, and contracts."""

    contracts: dict[EthAddress, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = Hypervisor.open(rules="ethereum", genesis=Genesis("test", {KEY_ACCOUNT: TokenAmount(10**18)}))
        self.machine.advance(block=EthereumBlock(gas_limit=1 << 62, fork="Cancun"))
        install_alloc(self.machine, {
            SENDER: AllocAccount(10**20),
            STORER: AllocAccount(0, 1, STORES_AND_LOGS),
            **{address: AllocAccount(FUNDS, int(bool(code)), code) for address, code in self.contracts.items()},
        })  # fmt: skip
        install_actor(self.machine, puppet(), PUPPET, FUNDS)
        self.before = self.machine.snapshot()

    def invoke(self, to: Address, data: bytes = b"", value: int = 0, gas: int = 5_000_000) -> ApplyResult:
        """Send a transaction that calls `to` with calldata (a script for the puppet)."""
        return self.message(to, INVOKE_EVM, byte_string(data) if data else b"", value, gas)

    def message(self, to: Address, method: int, params: bytes, value: int = 0, gas: int = 5_000_000) -> ApplyResult:
        sender = self.machine.actor(to_filecoin(SENDER))
        assert sender is not None
        message = Message(
            to=to,
            from_=to_filecoin(SENDER),
            nonce=sender.nonce,
            value=TokenAmount(value),
            method=MethodNumber(method),
            params=params,
            gas_limit=Gas(gas),
        )
        return self.machine.apply(message)

    def traced(self, to: Address, data: bytes = b"", value: int = 0, gas: int = 5_000_000) -> list[TraceEvent]:
        recorder = self.machine.tracer = Recorder()
        self.invoke(to, data, value, gas)
        self.machine.tracer = None
        return recorder.events

    def facts(self) -> dict[object, object]:
        """Return everything that a call can change, except what the sender pays."""
        known: dict[object, object] = {
            address: (found.balance, found.nonce, found.storage) for address, found in read_alloc(self.machine)
        }
        known.pop(SENDER)
        puppet_ = self.machine.state_tree.get_actor(ActorID(PUPPET))
        assert puppet_ is not None
        return known | {PUPPET: (puppet_.balance, puppet_.head)}

    def everything(self) -> int:
        """Return the total of all balances in attoFIL."""
        return sum(state.balance for _, state in self.machine.state_tree.actors())


def script(*, to: Address | None = None, method: int = INVOKE_EVM, params: bytes | None = None, value: int = 0,
           read_only: bool = False, event: bool = False, store: bool = False) -> Script:  # fmt: skip
    """Return a script for the puppet: an event, a new state, a call."""
    steps = Script()
    if event:
        steps.emit(b"k", b"\x01")
    if store:
        steps.store(encode([7]))
    if to is not None:
        steps.send(to, method, params, CBOR, value, read_only)
    return steps


def padded(steps: Script) -> bytes:
    """Return a script as calldata long enough for the puppet, whose params have a length of two bytes."""
    return steps.raw().ljust(256, b"\0")


def calls(data: bytes, *, kind: str = "CALL", gas: str = "GAS", value: int = 0, to: int | None = None) -> bytes:
    """Return a contract that calls (default: the puppet) and returns success and the return data."""
    to = int.from_bytes(masked_id(ActorID(PUPPET)), "big") if to is None else to
    money = f"{value} " if kind == "CALL" else ""
    code = assemble(
        f"{len(data)} @data 1 ADD 0 CODECOPY 0 0 {len(data)} 0 {money}{to} {gas} {kind} 0 MSTORE "
        "RETURNDATASIZE 0 32 RETURNDATACOPY RETURNDATASIZE 32 ADD 0 RETURN data:"
    )
    return code + data


def asks(method: int, params: bytes, flags: int = 0, value: int = 0, actor: int = PUPPET, gas: str = "GAS") -> bytes:
    """Return a contract that calls an actor's method through the precompile."""
    kinds = ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"]
    data = encode_abi(kinds, [method, value, flags, CBOR if params else 0, params, actor])
    return calls(data, kind="DELEGATECALL", to=CALL_ACTOR_ID, gas=gas)


def answer(result: ApplyResult) -> tuple[int, bytes]:
    """Return the success of a calling contract's call, and its return data."""
    assert result.exit_code == 0, result.message
    data = read_byte_string(result.return_data)
    return int.from_bytes(data[:32], "big"), data[32:]


def words(data: bytes) -> list[int]:
    """Return the puppet's output, four bytes each."""
    return [int.from_bytes(data[index : index + 4], "little") for index in range(0, len(data), 4)]


def puppet_output(data: bytes) -> list[int]:
    """Return the puppet's output from CBOR with a length of two bytes."""
    return words(data[3:])


def charged(events: list[TraceEvent], name: str) -> list[int]:
    """Return the charges of a name, in Ethereum gas or milligas."""
    return [event.milligas for event in events if isinstance(event, GasCharged) and event.name == name]


# --- gas --------------------------------------------------------------------------------------------------------------


def test_a_native_call_costs_its_milligas_by_the_rate_rounded_up() -> None:
    world = Machine({CALLER: calls(padded(script(event=True)))})
    events = world.traced(to_filecoin(CALLER))
    begun = next(index for index, event in enumerate(events) if isinstance(event, CallStarted) and event.from_ != 0)
    inner = next(
        index for index, event in enumerate(events) if isinstance(event, CallStarted) and event.to == Address.id(PUPPET)
    )
    end = next(index for index, event in enumerate(events) if getattr(event, "name", "") == "OnNativeCall")
    assert begun <= inner < end
    milligas = sum(event.milligas for event in events[inner:end] if isinstance(event, GasCharged))
    cost = events[end]
    assert isinstance(cost, GasCharged)
    assert cost.milligas == -(-milligas // RATE) > 100


def test_a_native_caller_pays_whole_ethereum_gas_for_a_contract() -> None:
    world = Machine()
    direct = world.invoke(to_filecoin(STORER)).gas_used - 21_000
    world.machine.restore(world.before)
    events = world.traced(Address.id(PUPPET), padded(script(to=to_filecoin(STORER))))
    (cost,) = charged(events, "OnContractCall")
    assert cost == direct * RATE


@pytest.mark.parametrize("given", [0, 1, 100, 600])
def test_out_of_gas_native_call_costs_exactly_its_gas(given: int) -> None:
    world = Machine({CALLER: calls(padded(script(event=True, store=True)), gas=str(given))})
    events = world.traced(to_filecoin(CALLER))
    costs = charged(events, "OnNativeCall")
    assert costs == [given]
    world.machine.restore(world.before)
    before = world.facts()
    assert answer(world.invoke(to_filecoin(CALLER))) == (0, b"")
    assert world.facts() == before


@pytest.mark.parametrize(("value", "succeeds"), [((1 << 128) - FUNDS - 1, True), ((1 << 128) - FUNDS, False)])
def test_native_actor_holds_at_most_128_bits(value: int, succeeds: bool) -> None:
    """Syscalls report its balance and the received value in 128 bits (ref-fvm's `sys::TokenAmount`)."""
    world = Machine({CALLER: calls(padded(script(event=True)), value=value)})
    install_alloc(world.machine, {CALLER: AllocAccount(1 << 130, 1, world.contracts[CALLER])})
    before = world.facts()
    assert answer(world.invoke(to_filecoin(CALLER)))[0] == succeeds
    assert (world.facts() == before) != succeeds


def test_implicit_message_with_max_gas_reaches_native_actor() -> None:
    world = Machine({CALLER: calls(padded(script(event=True)))})
    message = Message(
        to_filecoin(CALLER), to_filecoin(SENDER), method=MethodNumber(INVOKE_EVM), gas_limit=Gas((1 << 63) - 1)
    )
    success, data = answer(world.machine.apply_implicit(message))
    assert (success, words(data)[:1]) == (1, [0])


@pytest.mark.slow
def test_out_of_gas_in_small_call_tree_is_atomic() -> None:
    # contract -> precompile -> native (event, state) -> contract (slot, log, value), and its answer back
    params = script(event=True, store=True, to=to_filecoin(STORER), value=3).wrapped()
    for contract in (asks(1 << 25, params), calls(padded(script(event=True, to=to_filecoin(STORER), value=3)))):
        world = Machine({CALLER: contract})
        money, nothing = world.everything(), world.facts()
        whole = world.invoke(to_filecoin(CALLER), gas=5_000_000)
        everything, needed, events = world.facts(), whole.gas_used, len(whole.events)
        assert everything != nothing
        assert events == 2
        outcomes = set()
        for gas in range(21_000, needed * 65 // 63, 61):  # a contract keeps a 64th
            world.machine.restore(world.before)
            result = world.invoke(to_filecoin(CALLER), gas=gas)
            assert result.gas_used <= gas
            assert world.everything() == money
            facts = world.facts()
            if result.exit_code:
                assert (facts, result.events) == (nothing, ())
                outcomes.add("failed")
                continue
            success, data = answer(result)
            reached = bool(success) and len(result.events) == events
            if reached:
                assert facts == everything
                outcomes.add("whole")
            elif not success:
                assert (facts, result.events, data) == (nothing, (), b"")
                outcomes.add("refused")
            else:  # the native actor saw the contract below it run out, or ran out itself and the precompile says so
                assert facts[STORER] == nothing[STORER]
                assert len(result.events) < events
                outcomes.add("cut below")
        assert {"failed", "whole"} < outcomes


@pytest.mark.slow
def test_unpayable_return_reverts_native_actor_changes() -> None:
    # The answer is as long as the puppet's memory of it; reading it is the precompile's last charge.
    params = script(event=True, store=True).wrapped()
    world = Machine({CALLER: asks(1 << 25, params)})
    nothing, states = world.facts(), set()
    costs = world.traced(to_filecoin(CALLER))
    (needed,) = charged(costs, "OnNativeCall")
    for gas in range(needed - 120, needed + 60):
        world.machine.restore(world.before)
        install_alloc(world.machine, {CALLER: AllocAccount(FUNDS, 1, asks(1 << 25, params, gas=str(gas)))})
        result = world.invoke(to_filecoin(CALLER))
        success, data = answer(result)
        done = world.facts() != nothing
        assert done == bool(result.events) == (success == 1 and not any(data[:32])), gas
        states.add((success, done))
    assert {(0, False), (1, True)} <= states


# --- value ------------------------------------------------------------------------------------------------------------


def test_value_moves_in_both_directions() -> None:
    world = Machine({CALLER: calls(padded(script(to=to_filecoin(STORER), value=20)), value=30)})
    money = world.everything()
    success, data = answer(world.invoke(to_filecoin(CALLER)))
    error, exit_code, _codec, size, *_ = words(data)
    assert (success, error, exit_code, size) == (1, 0, 0, 34)
    facts = world.facts()
    assert (facts[CALLER], facts[STORER]) == ((FUNDS - 30, 1, {}), (20, 1, {0: 1}))
    puppet = world.machine.state_tree.get_actor(ActorID(PUPPET))
    assert puppet is not None
    assert facts[PUPPET] == (FUNDS + 30 - 20, puppet.head)
    assert world.everything() == money


def test_money_that_is_not_there_is_refused_on_either_side() -> None:
    world = Machine({CALLER: calls(padded(script(event=True)), value=FUNDS + 1)})
    before = world.facts()
    assert answer(world.invoke(to_filecoin(CALLER))) == (0, b"")
    assert world.facts() == before
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(STORER), value=FUNDS + 1)))
    assert puppet_output(result.return_data)[:2] == [ErrorNumber.INSUFFICIENT_FUNDS, 0]
    assert world.facts() == before


def test_a_negative_value_is_no_transaction() -> None:
    world = Machine()
    before = world.everything(), world.facts()
    result = world.message(to_filecoin(STORER), INVOKE_EVM, b"", value=-5)
    assert (result.exit_code, result.gas_used) == (2, 0)
    assert "RLP_INVALID_VALUE" in result.message
    bare = Transaction(DYNAMIC_FEE, None, 0, STORER, -1, b"", 100_000, 0, 0)
    with pytest.raises(InvalidTransaction, match="RLP_INVALID_VALUE"):
        EthereumExecutor(world.machine).apply_transaction(bare, SENDER)
    assert (world.everything(), world.facts()) == before


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_native_actor_refusal_is_failed_call_with_its_message() -> None:
    steps = script(event=True, store=True, to=to_filecoin(STORER), value=1)
    steps.abort(77, b"\x43abc")
    world = Machine({CALLER: calls(padded(steps), value=2)})
    before = world.facts()
    success, _ = answer(world.invoke(to_filecoin(CALLER)))
    assert success == 0
    assert world.facts() == before
    world = Machine({CALLER: asks(1 << 25, steps.wrapped())})
    before = world.facts()
    success, data = answer(world.invoke(to_filecoin(CALLER)))
    assert (success, int.from_bytes(data[:32], "big")) == (1, 77)
    assert world.facts() == before


def test_a_trap_is_an_exit_as_under_filecoins_rules() -> None:
    steps = script(event=True)
    steps.trap()
    world = Machine({CALLER: asks(1 << 25, steps.wrapped())})
    success, data = answer(world.invoke(to_filecoin(CALLER)))
    assert (success, int.from_bytes(data[:32], "big")) == (1, 4)


@pytest.mark.parametrize("border", ["masked ID", "precompile", "puppet"])
def test_fatal_actor_fails_its_call_and_uses_all_its_gas(border: str) -> None:
    exits = guest("(call $exit (i32.const 40) (i32.const 77) (i32.const 0) (i32.const 0))", "vm.exit")
    code = {
        "masked ID": calls(b"", to=int.from_bytes(masked_id(ActorID(PUPPET + 1)), "big"), gas="1000000"),
        "precompile": asks(1 << 20, b"", actor=PUPPET + 1, gas="1000000"),
        "puppet": calls(padded(script(to=Address.id(PUPPET + 1))), gas="1000000"),
    }[border]
    world = Machine({CALLER: code})
    install_actor(world.machine, exits, PUPPET + 1)
    result = world.invoke(to_filecoin(CALLER))
    assert answer(result) == (0, b"")
    assert result.gas_used > 1_000_000
    direct = world.message(Address.id(PUPPET + 1), 2, b"")
    assert (direct.exit_code, direct.gas_used, direct.fatal) == (10, 5_000_000, None)
    assert f"f0{PUPPET + 1} exited with a block that does not exist" in direct.message


def test_transaction_to_filecoin_precompile_calls_an_account_without_code() -> None:
    # as on Filecoin, where only contracts call precompiles
    world = Machine()
    result = world.invoke(to_filecoin(EthAddress(CALL_ACTOR_ID.to_bytes(20, "big"))), b"\1")
    assert (result.exit_code, result.return_data) == (0, b"")


def test_contract_revert_is_exit_code_for_native_caller() -> None:
    refuser = EthAddress(b"\xdd" * 20)
    world = Machine({refuser: assemble("1 0 SSTORE 0 0 LOG0 7 0 MSTORE 32 0 REVERT")})
    before = world.facts()
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(refuser), value=4)))
    error, exit_code, *_ = puppet_output(result.return_data)
    assert (result.exit_code, error, exit_code) == (0, 0, 33)
    assert world.facts() == before
    assert result.events == ()


def test_halting_contract_burns_gas_of_its_native_caller() -> None:
    halter = EthAddress(b"\xdd" * 20)
    world = Machine({halter: assemble("INVALID")})
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(halter))), gas=400_000)
    assert result.gas_used > 390_000


# --- read-only --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_precompile", [False, True], ids=["STATICCALL", "precompile"])
def test_native_actor_in_read_only_call_changes_nothing(by_precompile: bool) -> None:
    steps = script(event=True, store=True)
    contract = asks(1 << 25, steps.wrapped(), flags=1) if by_precompile else calls(padded(steps), kind="STATICCALL")
    world = Machine({CALLER: contract})
    before = world.facts()
    result = world.invoke(to_filecoin(CALLER))
    success, data = answer(result)
    if by_precompile:
        data = decode_abi(["int256", "uint64", "bytes"], data)[2][3:]
    event, made, linked, root = words(data)[:4]
    assert (success, event, made, linked, root) == (1, ErrorNumber.READ_ONLY, 0, 0, ErrorNumber.READ_ONLY)
    assert (world.facts(), result.events) == (before, ())


def test_a_contract_below_a_native_read_only_call_cannot_write() -> None:
    world = Machine()
    before = world.facts()
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(STORER), read_only=True)), gas=400_000)
    assert result.gas_used > 390_000  # it halts, and so has used up what its caller gave it: all
    assert (world.facts(), result.events) == (before, ())


def test_value_in_a_read_only_call_is_refused() -> None:
    world = Machine()
    before = world.facts()
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(STORER), value=1, read_only=True)))
    assert puppet_output(result.return_data)[:2] == [ErrorNumber.READ_ONLY, 0]
    assert world.facts() == before


# --- depth ------------------------------------------------------------------------------------------------------------


def recursive() -> Machine:
    """Create a contract that calls the puppet, which calls the contract, without end."""
    return Machine({CALLER: calls(padded(script(to=to_filecoin(CALLER))))})


def deepest(events: list[TraceEvent]) -> int:
    depth = most = 0
    for event in events:
        depth += isinstance(event, CallStarted) - isinstance(event, CallEnded)
        most = max(most, depth)
    return most


@pytest.mark.slow
def test_recursion_through_the_border_ends_with_the_gas() -> None:
    world = recursive()
    events = world.traced(to_filecoin(CALLER), gas=5_000_000)
    assert 100 < deepest(events) < 1025
    world.machine.restore(world.before)
    before = world.facts()
    assert answer(world.invoke(to_filecoin(CALLER)))[0] == 1
    assert world.facts() == before


@pytest.mark.slow
def test_bridge_recursion_ends_at_evm_depth_limit() -> None:
    world = recursive()
    recorder = world.machine.tracer = Recorder()
    message = Message(
        to_filecoin(CALLER), to_filecoin(SENDER), method=MethodNumber(INVOKE_EVM), gas_limit=Gas((1 << 63) - 1)
    )
    result = world.machine.apply_implicit(message)
    assert result.exit_code == 0, result.message
    assert deepest(recorder.events) == 1026  # a transaction's first frame, 1,024 below it, and the one that is refused
    ended = [event for event in recorder.events if isinstance(event, CallEnded)]
    assert "nest deeper than 1025" in ended[0].message


@pytest.mark.slow
@pytest.mark.parametrize("border", ["masked ID", "precompile", "puppet", "precompile and puppet"])
def test_recursion_over_each_border_has_bounded_depth_and_stacks(border: str) -> None:
    own = Machine({CALLER: b"\0"}).machine.state_tree.lookup_id(to_filecoin(CALLER))
    assert own is not None
    by_puppet = padded(script(to=to_filecoin(CALLER)))
    code = {
        "masked ID": calls(b"", to=int.from_bytes(masked_id(own), "big")),
        "precompile": asks(INVOKE_EVM, byte_string(b""), actor=own),
        "puppet": calls(by_puppet),
        "precompile and puppet": asks(INVOKE_EVM, byte_string(by_puppet)),
    }[border]
    world = Machine({CALLER: code})
    recorder = world.machine.tracer = Recorder()
    gas = Gas((1 << 63) - 1)
    result = world.machine.apply_implicit(
        Message(to_filecoin(CALLER), to_filecoin(SENDER), method=MethodNumber(INVOKE_EVM), gas_limit=gas)
    )
    assert result.exit_code == 0, result.message
    assert 500 < deepest(recorder.events) <= 1026
    assert len(world.machine.stacks._workers) <= 2 * (1 + 1026 // LEVELS_PER_STACK)  # of the kernel and of the guest


# --- what is called ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "method", "params", "exit_code"),
    [
        (DATACAP_ACTOR, method_number("Transfer"), b"\xff", 21),
        (DATACAP_ACTOR, method_number("Transfer"), encode([1, 2]), 21),
        (DATACAP_ACTOR, method_number("NoSuchMethod"), b"", 22),
        (PUPPET + 7, method_number("Anything"), b"", -ErrorNumber.NOT_FOUND),
    ],
    ids=["no CBOR", "another shape", "no such method", "nobody"],
)
def test_wrong_parameters_have_the_actors_exit(actor: int, method: int, params: bytes, exit_code: int) -> None:
    world = Machine({CALLER: asks(method, params, actor=actor)})
    success, data = answer(world.invoke(to_filecoin(CALLER)))
    assert (success, int.from_bytes(data[:32], "big", signed=True)) == (1, exit_code)


@pytest.mark.parametrize("params", [b"\xff", encode(5), b"\x42a"], ids=["no CBOR", "a number", "cut short"])
def test_a_contract_refuses_parameters_that_are_no_bytes(params: bytes) -> None:
    world = Machine()
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(STORER), params=params)))
    _made, error, exit_code, *_ = puppet_output(result.return_data)
    assert (error, exit_code) == (0, 21)


def test_native_caller_cannot_construct_existing_contract() -> None:
    world = Machine()
    before = world.facts()
    result = world.invoke(Address.id(PUPPET), padded(script(to=to_filecoin(STORER), method=1, params=encode(b"\x00"))))
    _made, error, exit_code, *_ = puppet_output(result.return_data)
    assert (error, exit_code) == (0, 18)
    assert world.facts() == before


def test_an_account_has_its_methods_for_native_calls() -> None:
    """The account actor checks signatures; silent success would count as approval for some callers."""
    authenticate = method_number("AuthenticateMessage")
    actor = Hypervisor.open(
        rules="ethereum", genesis=Genesis("test", {KEY_ACCOUNT: TokenAmount(1)})
    ).state_tree.lookup_id(KEY_ACCOUNT)
    assert actor is not None
    world = Machine({CALLER: asks(authenticate, encode([b"\x01" * 65, b"message"]), actor=actor)})
    success, data = answer(world.invoke(to_filecoin(CALLER)))
    assert (success, int.from_bytes(data[:32], "big")) == (1, 16)  # the signature is nobody's


def test_a_precompile_costs_a_native_caller_ethereums_gas() -> None:
    sha256 = Address.delegated(EAM_NAMESPACE, bytes(19) + b"\x02")
    world = Machine()
    events = world.traced(Address.id(PUPPET), padded(script(to=sha256, params=b"abc")))
    (cost,) = charged(events, "OnContractCall")
    assert cost == (60 + 12) * RATE  # the yellow paper: 60, and 12 for each word


# --- the executor -----------------------------------------------------------------------------------------------------


def test_a_context_of_other_rules_is_refused_in_words() -> None:
    machine = Hypervisor.open()
    with pytest.raises(InvalidInput, match="has the rules 'filecoin', not 'ethereum'"):
        EthereumExecutor(machine)
    machine.context = MachineContext(rules="ethereum")
    message = Message(Address.id(0), Address.id(0))
    with pytest.raises(InvalidInput, match="opened under the rules 'filecoin', but its context has 'ethereum'"):
        machine.apply_implicit(message)


# --- actors that come and go ------------------------------------------------------------------------------------------

SALT, OUTER, GONE = bytes(31) + b"\x05", EthAddress(b"\xdd" * 20), 2000
CHILD = assemble("7 9 SSTORE CALLER 0 MSTORE CALLVALUE 32 MSTORE 64 0 LOG0 0x600954 0 MSTORE 3 29 RETURN")


def shows(actor: int) -> str:
    """Return words that log an actor's balance and the size of its code, as contracts see them."""
    masked = word(masked_id(ActorID(actor)))
    return f"{masked} BALANCE 0 MSTORE {masked} EXTCODESIZE 32 MSTORE 64 0 LOG0"


def logged(result: ApplyResult) -> list[tuple[int, ...]]:
    """Return the words of each log of a contract, without those of transfers."""
    data = [entry.value for event in result.events for entry in event.entries if entry.key == "d"]
    found = [tuple(int.from_bytes(each[at : at + 32], "big") for at in range(0, len(each), 32)) for each in data]
    return [each for each in found if len(each) > 1]


def dying() -> bytes:
    """Return a native actor that removes itself when it is called, and burns its funds."""
    return wasm(f"""(module {imports("self.self_destruct")} (memory (export "memory") 1)
      (func (export "invoke") (param i32) (result i32)
        (drop (call $self_destruct (i32.const 1))) (i32.const 0)))""")


def test_precompile_call_with_more_data_than_memory_fails() -> None:
    """The receiver's address has 1.9 GB."""
    call = f"0 0 224 0 {(0xFE << 152) + 3} GAS DELEGATECALL"
    world = Machine({CALLER: assemble(f"{0x71000000} 192 MSTORE 192 160 MSTORE {call} 1 ADD 0 MSTORE 32 0 RETURN")})
    result = world.invoke(to_filecoin(CALLER))
    assert unwrap_return(result.receipt.return_data) == bytes(31) + b"\1"


@pytest.fixture(params=["Cancun", "Amsterdam"])
def fork(request: pytest.FixtureRequest) -> str:
    """Return the name of a fork."""
    return str(request.param)


def at(fork: str, contracts: dict[EthAddress, bytes]) -> Machine:
    world = Machine(contracts)
    world.machine.advance(block=EthereumBlock(gas_limit=1 << 62, fork=fork))
    install_actor(world.machine, dying(), GONE, FUNDS)
    return world


def create2(world: Machine, init: bytes, value: int = 0) -> ApplyResult:
    """Send a message from CALLER, a contract, that creates another one."""
    execution, to = EthereumExecutor(world.machine), Address.id(EAM_ACTOR)
    create, params = MethodNumber(3), encode([init, SALT])
    message = Message(to, to_filecoin(CALLER), 1, TokenAmount(value), create, params, Gas(10_000_000))
    return execution.apply_unpaid(message)


def test_native_actor_creates_a_contract(fork: str) -> None:
    world = at(fork, {CALLER: assemble("STOP")})
    result, address = create2(world, CHILD, 5), create2_address(CALLER, SALT, CHILD)
    assert CreateReturn.decode(result.receipt.return_data).eth_address == address
    assert logged(result) == [(int.from_bytes(CALLER, "big"), 5)]
    assert dict(read_alloc(world.machine))[address] == AllocAccount(5, 1, assemble("9 SLOAD"), {9: 7})


@pytest.mark.parametrize(
    ("init", "exit_code"), [("0xab 0 MSTORE 32 0 REVERT", 33), ("1 1 SSTORE INVALID", 7), ("24577 0 RETURN", 7)]
)
def test_a_creation_by_a_native_actor_fails_as_a_whole(fork: str, init: str, exit_code: int) -> None:
    world = at(fork, {CALLER: assemble("STOP")})
    before = world.facts()
    assert create2(world, assemble(init)).exit_code == exit_code
    assert {**world.facts(), CALLER: before[CALLER]} == before


@pytest.mark.parametrize(("end", "expected"), [("STOP", (0, 0)), ("0 0 REVERT", (FUNDS, 1))])
def test_native_actor_that_removes_itself_is_gone_unless_reverted(
    fork: str, end: str, expected: tuple[int, int]
) -> None:
    """Another contract calls it, and ends."""
    calls_it = assemble(f"{call(masked_id(ActorID(GONE)))} POP {shows(GONE)} {end}")
    outer = assemble(f"{shows(GONE)} {call(OUTER)} POP {shows(GONE)}")
    world = at(fork, {CALLER: outer, OUTER: calls_it})
    result = world.invoke(to_filecoin(CALLER))
    assert [logged(result)[0], logged(result)[-1]] == [(FUNDS, 1), expected]
    assert (world.machine.state_tree.get_actor(ActorID(GONE)) is None) == (end == "STOP")


@pytest.mark.parametrize(("end", "balance"), [("STOP", 3), ("0 0 REVERT", 0)])
@pytest.mark.parametrize("seen", [False, True])
def test_an_account_that_a_native_actor_creates_exists_unless_reverted(
    fork: str, end: str, balance: int, seen: bool
) -> None:
    """The puppet sends 1 attoFIL to a new key, and its caller 2 to the new account's masked ID."""
    new = at(fork, {CALLER: b"\0", OUTER: b"\0"}).machine.state_tree.init_state().next_id
    data = padded(script(to=Address.secp256k1(b"\x04" + b"\x09" * 64), method=0, value=1))
    size, puppet_ = len(data), word(masked_id(ActorID(PUPPET)))
    inner = assemble(
        f"{shows(new) if seen else ''} {size} @data 1 ADD 0 CODECOPY 0 0 {size} 0 0 {puppet_} GAS CALL POP "
        f"{call(masked_id(ActorID(new)), 2)} POP {shows(new)} {end} data:"
    )
    outer = assemble(f"{call(OUTER)} POP {shows(new)}")
    world = at(fork, {CALLER: outer, OUTER: inner + data})
    assert logged(world.invoke(to_filecoin(CALLER)))[-1] == (balance, 0)
    account = world.machine.state_tree.get_actor(ActorID(new))
    assert (0 if account is None else account.balance) == balance


@pytest.mark.parametrize("is_seen_before", [False, True])
def test_account_paid_by_native_actor_exists(fork: str, is_seen_before: bool) -> None:
    """The puppet sends 5 attoFIL to an address without an account, after calls that have read many absent accounts."""
    new = EthAddress(b"\x09" * 20)
    data = padded(script(to=to_filecoin(new), method=0, value=5))
    size, puppet_ = len(data), word(masked_id(ActorID(PUPPET)))
    reads = " ".join(f"{word(EthAddress(bytes([number]) * 20))} BALANCE POP" for number in range(0x31, 0x51))
    code = assemble(
        f"{reads} {f'{word(new)} BALANCE POP' if is_seen_before else ''} {size} @data 1 ADD 0 CODECOPY "
        f"0 0 {size} 0 0 {puppet_} GAS CALL POP {word(new)} BALANCE 0 MSTORE 32 0 RETURN data:"
    )
    world = at(fork, {CALLER: assemble(f"{reads} STOP"), OUTER: code + data})
    assert world.invoke(to_filecoin(CALLER)).exit_code == 0
    returned = world.invoke(to_filecoin(OUTER)).receipt.return_data
    assert int.from_bytes(unwrap_return(returned), "big") == 5


@pytest.mark.parametrize("fork", ["Shanghai", "Cancun"])
@pytest.mark.parametrize("is_destroyed", [False, True])
def test_selfdestruct_to_masked_id_of_contract_makes_no_ether(fork: str, is_destroyed: bool) -> None:
    """Ether is only burnt where the beneficiary destroys itself in the same transaction (before EIP-6780)."""
    machine = Machine({STORER: assemble(f"{word(SENDER)} SELFDESTRUCT")}).machine
    machine.advance(block=EthereumBlock(gas_limit=1 << 62, fork=fork))
    storer = machine.state_tree.lookup_id(to_filecoin(STORER))
    assert storer is not None
    first = f"{call(STORER)} POP" if is_destroyed else ""
    install_alloc(
        machine, {CALLER: AllocAccount(FUNDS, 1, assemble(f"{first} {word(masked_id(storer))} SELFDESTRUCT"))}
    )
    machine.flush()
    before = sum(state.balance for _, state in machine.state_tree.actors())
    tested = object.__new__(Machine)
    tested.machine = machine
    assert tested.invoke(to_filecoin(CALLER)).exit_code == 0
    machine.flush()
    burnt = FUNDS if is_destroyed and fork == "Shanghai" else 0
    assert sum(state.balance for _, state in machine.state_tree.actors()) == before - burnt


def test_contract_whose_code_is_one_invalid_instruction_keeps_its_code() -> None:
    """The address has ether. 0xfe is also the code that `EXTCODECOPY` shows of a native actor (FIP-0055)."""
    init = assemble("254 0 MSTORE8 1 0 RETURN")
    made = create2_address(CALLER, bytes(32), init)
    create = assemble(f"0x{init.hex()} 0 MSTORE 0 {len(init)} {32 - len(init)} 0 CREATE2 POP")
    machine = Machine({CALLER: create, made: b""})
    assert machine.invoke(to_filecoin(CALLER)).exit_code == 0
    machine.machine.flush()
    assert dict(read_alloc(machine.machine))[made].code == b"\xfe"
