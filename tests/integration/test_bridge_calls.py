"""Calls between contracts and native actors, compared with the official EVM actor.

- The two machines that the bridge tests compare.
- Call trees across runtimes: equal results on the EVM runtime and under the official EVM actor.
- Bad input across runtimes: both machines end alike, and failed calls leave no changes.
- Slots of a contract written before, below and after a native reentrant call: by a model, method 5 and the tree.
- Gas of calls between runtimes: charges add up to the receipt; out-of-gas at any charge leaves a consistent state.
- Call depth of 1,024 and one more: native only, contracts only, and alternating.

Inputs of the precompiles are damaged in every field: numbers beyond their width, arbitrary offsets, truncation, random
bytes. So are return values of contracts to native actors, and those of native actors, with codecs of any kind.

The model is a dictionary. If the native actor calls back and then fails, the writes below it are reverted.
"""

from _thread import start_new_thread
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest
from eth_abi.abi import encode as encode_abi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.call import encode_call_return
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import invoke_params, invoke_return
from hypervisor import Address, Hypervisor, Message, threads
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.executor import ApplyResult
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import CallEnded, CallStarted, GasCharged, Recorder, TraceEvent, call_tree
from hypervisor.types import SYSTEM_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from hypervisor_tools.cli.demo.scenario import DemoStage, contract
from localnet.state.controls import storage_of
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from store.cid import CBOR, DAG_CBOR, RAW, codec_of
from store.codec import decode, encode
from store.links import links_of
from tests.conftest import bundle_file, evms, samples
from tests.crossing.trees import (
    BELOW,
    CALL_ACTOR,
    PUPPETS,
    SENDER,
    TWICE,
    Script,
    Stage,
    Stages,
    Tree,
    call_counts,
    stages,
)
from tests.differential.comparison import BUNDLE, runners
from tests.differential.twins import GAS_LIMIT, CallOf, Case
from tests.runtimes.evm.assembler import assemble


@pytest.fixture(scope="module")
def both() -> Iterator[Stages]:
    ready = Stages(Bundle.open(bundle_file(BUNDLE)), runners())
    yield ready
    for twin in (ready.ours, ready.official):
        twin.machine.close()


TREES = 20


@pytest.mark.slow
def test_bridge_trees_end_alike_on_both_machines(both: Stages) -> None:
    passed: list[str] = []
    for number in range(TREES):
        compared, found = both.execute(Tree(7, number))
        assert not compared.difference
        passed += stages(found)
    assert passed.count(TWICE) >= TREES / 2
    assert passed.count(BELOW) >= TREES / 4


KINDS: Final = ("CALL", "STATICCALL", "DELEGATECALL")
FORWARDERS: Final = {kind: EthAddress(bytes([0xC0 + place]) * 20) for place, kind in enumerate(KINDS)}
ANSWERER: Final = EthAddress(b"\xca" * 20)
PRECOMPILES: Final = tuple(EthAddress(b"\xfe" + bytes(18) + bytes([number])) for number in range(1, 8))
EDGES: Final = (
    0, 1, 2, 31, 32, 33, 95, 96, 160, 192, 193, 256, 1023, 1024, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 128, 1 << 255, (1 << 256) - 1,
)  # fmt: skip
SELECTED: Final = 132
"""Offset of handle_filecoin_method's parameters, after the selector and four words."""


def forwarder(kind: str) -> bytes:
    """Return code that calls the address in the first word with the rest; it returns success and return data."""
    value = "CALLVALUE " if kind == "CALL" else ""
    return assemble(f"""
        32 CALLDATASIZE SUB 32 0 CALLDATACOPY
        0 0 32 CALLDATASIZE SUB 0 {value}0 CALLDATALOAD GAS {kind} 0 MSTORE
        RETURNDATASIZE 0 32 RETURNDATACOPY 32 RETURNDATASIZE ADD 0 RETURN""")


def accounts() -> dict[EthAddress, AllocAccount]:
    """Return funded forwarders, and a contract that returns its parameters to native callers."""
    result = assemble(f"100 CALLDATALOAD {SELECTED} 0 CALLDATACOPY 100 CALLDATALOAD 0 RETURN")
    return {
        SENDER: AllocAccount(10**24),
        **{address: AllocAccount(1000, 1, forwarder(kind)) for kind, address in FORWARDERS.items()},
        ANSWERER: AllocAccount(0, 1, result),
    }


def compare(both: Stages, calls: Sequence[CallOf]) -> list[int]:
    """Execute all messages on both machines and return their ends."""
    compared = both.compare(Case("bad input", "bad input", accounts(), calls))
    assert not compared.difference
    assert len(compared.official) == len(calls)
    return [outcome.exit_code for outcome in compared.official]


def broken(data: bytes, random: Random) -> bytes:
    """Return input with one to three defects."""
    for _ in range(random.choice((1, 1, 2, 3))):
        match random.randrange(6):
            case 0 | 1 | 2 if len(data) >= 32:
                place = 32 * random.randrange(len(data) // 32)
                data = data[:place] + random.choice(EDGES).to_bytes(32, "big") + data[place + 32 :]
            case 3:
                data = data[: random.randrange(len(data) + 1)]
            case 4:
                data += random.randbytes(random.randrange(1, 70))
            case _:
                data = random.randbytes(random.randrange(1, 32)) + data
    return data


def good_call(random: Random) -> bytes:
    """Return input of call_actor_id or call_actor."""
    script = Script()
    script.store(b"\x80")
    script.emit(b"d", b"\x01")
    value, read_only = random.choice((0, 0, 5, 5000)), random.randrange(2)
    head = (random.choice((1024, INVOKE_EVM, 0)), value, read_only, CBOR, script.wrapped())
    kinds = ["uint64", "uint256", "uint64", "uint64", "bytes"]
    if random.randrange(2):
        return encode_abi([*kinds, "uint64"], [*head, PUPPETS[0]])
    return encode_abi([*kinds, "bytes"], [*head, Address.id(PUPPETS[0]).to_bytes()])


@pytest.mark.parametrize("seed", range(4))
def test_bridge_bad_input_of_precompiles_ends_alike(both: Stages, seed: int) -> None:
    random = Random(seed)
    calls = []
    for _ in range(40):
        kind = random.choice(("DELEGATECALL", "DELEGATECALL", *KINDS))
        to = random.choice((PRECOMPILES[2], PRECOMPILES[4], *PRECOMPILES))
        data = bytes(12) + to + broken(good_call(random), random)
        calls.append(CallOf(SENDER, FORWARDERS[kind], data, random.choice((0, 0, 3))))
    compare(both, calls)


@pytest.mark.parametrize("seed", range(3))
def test_bridge_malformed_contract_returns_match_official(both: Stages, seed: int) -> None:
    """The contract echoes its parameters, so the native actor's script chooses the malformed return data."""
    random = Random(f"answers {seed}")
    calls = []
    for _ in range(30):
        exit_code = random.choice((0, 0, 5, 16, 33, 1 << 31))
        codec = random.choice((0, CBOR, CBOR, RAW, DAG_CBOR, 1 << 40))
        result = encode_abi(
            ["uint32", "uint64", "bytes"], [exit_code, codec, random.choice((b"", b"\x05", b"\x83\x01"))]
        )
        script = Script()
        script.store(b"\x81\x01")
        script.send(to_filecoin(ANSWERER), method_number("Anything"), broken(result, random), RAW)
        calls.append(CallOf(SENDER, masked_id(PUPPETS[1]), script.raw().ljust(256, b"\0")))
    compare(both, calls)


@pytest.mark.slow
def test_bridge_malformed_native_returns_match_official(both: Stages) -> None:
    """Return data that is not a CBOR byte string is passed on unchanged."""
    results = (
        b"", b"\x40", b"\x41a", b"\x58\x20short", b"\x5f\x41a\xff", b"\x61a", b"\x80", b"\xff", b"\x41ab",
        b"\xd8\x2a\x41\0", bytes(60_000),
    )  # fmt: skip
    calls = []
    for result in results:
        for exit_code in (0, 16, 33, 3):
            script = Script()
            script.abort(exit_code, result)
            calls.append(CallOf(SENDER, FORWARDERS["CALL"], bytes(12) + masked_id(PUPPETS[2]) + script.raw()))
            head = (1024, 0, 0, CBOR, script.wrapped(), PUPPETS[2])
            data = encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], head)
            calls.append(CallOf(SENDER, FORWARDERS["DELEGATECALL"], bytes(12) + PRECOMPILES[4] + data))
    compare(both, calls)


def test_bridge_bad_input_that_looks_like_an_answer_is_none(both: Stages) -> None:
    """A contract cannot imitate the precompile: its own bytes in the precompile's form are a contract's return data."""
    forged = encode_call_return(0, CBOR, b"\x05")
    script = Script()
    script.send(to_filecoin(ANSWERER), method_number("Anything"), forged, RAW)
    assert compare(both, [CallOf(SENDER, masked_id(PUPPETS[1]), script.raw().ljust(256, b"\0"))]) == [0]


WRITER: Final = EthAddress(b"\xc0" * 20)
SEEN, KEPT = 7, 8
CODE: Final = f"""
    32 loop: 0 CALLDATALOAD 32 ADD DUP2 LT ISZERO @done JUMPI      ; as many bytes of pairs as the first word says
    DUP1 32 ADD CALLDATALOAD DUP2 CALLDATALOAD SSTORE 64 ADD @loop JUMP
    done: DUP1 CALLDATASIZE GT ISZERO @end JUMPI                   ; the rest is for the precompile
    DUP1 CALLDATASIZE SUB DUP2 0 CALLDATACOPY
    0 0 DUP3 CALLDATASIZE SUB 0 {CALL_ACTOR} GAS DELEGATECALL POP
    {SEEN} SLOAD 1 ADD {KEPT} SSTORE                               ; what was written below is seen
    end: STOP"""

Pairs = list[tuple[int, int]]
slots = st.one_of(st.sampled_from([0, 1, 2, SEEN, SEEN, 32, 1 << 128, (1 << 256) - 1]), st.integers(0, (1 << 256) - 1))
words = st.one_of(st.sampled_from([0, 0, 1, 255, 1 << 255]), st.integers(0, (1 << 256) - 2))
pairs = st.lists(st.tuples(slots, words), max_size=12)


def calldata(writes: Pairs, call: bytes = b"") -> bytes:
    flat = [number.to_bytes(32, "big") for pair in writes for number in pair]
    return (32 * len(flat)).to_bytes(32, "big") + b"".join(flat) + call


def through_a_native_actor(writes: Pairs, gives_up: bool) -> bytes:
    """Return precompile input for a native actor that calls the contract back, and optionally fails afterwards."""
    script = Script()
    script.send(to_filecoin(WRITER), INVOKE_EVM, calldata(writes), RAW)
    if gives_up:
        script.abort(77, b"")
    head = (1024, 0, 0, CBOR, script.wrapped(), Address.id(PUPPETS[0]).to_bytes())
    return encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "bytes"], head)


@pytest.mark.slow
@settings(max_examples=samples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=pairs, below=pairs, gives_up=st.booleans())
def test_bridge_storage_matches_model_after_nested_native_call(
    both: Stages, first: Pairs, below: Pairs, gives_up: bool
) -> None:
    model = dict(first)
    if not gives_up:
        model.update(below)
    model[KEPT] = (model.get(SEEN, 0) + 1) % (1 << 256)
    data = calldata(first, through_a_native_actor(below, gives_up))
    roots = set()
    for twin in (both.ours, both.official):
        machine = twin.machine
        machine.restore(twin._empty)
        install_alloc(machine, {SENDER: AllocAccount(10**18), WRITER: AllocAccount(0, 1, assemble(CODE))})
        message = Message(
            to_filecoin(WRITER), to_filecoin(SENDER), method=INVOKE_EVM, params=byte_string(data), gas_limit=GAS_LIMIT
        )
        assert machine.apply(message).exit_code == ExitCode.OK
        roots.add(machine.root)
        for slot in {*model, *dict(below), 3}:
            expected = model.get(slot, 0)
            assert int.from_bytes(storage_of(machine, to_filecoin(WRITER), slot), "big") == expected
            assert storage_at(machine, slot) == expected
        assert dict(read_alloc(machine))[WRITER].storage == {slot: value for slot, value in model.items() if value}
    assert len(roots) == 1


def storage_at(machine: Hypervisor, slot: int) -> int:
    """Return the result of method 5 for the system actor; a key may have leading zeros."""
    params = encode([slot.to_bytes(32, "big")])
    message = Message(
        to_filecoin(WRITER), Address.id(SYSTEM_ACTOR), method=MethodNumber(5), params=params, gas_limit=Gas(GAS_LIMIT)
    )
    return int.from_bytes(decode(machine.call(message).return_data), "big")


SEED = 21
TO_AND_FRO = (1, 9, 18)
"""Successful trees with at least three calls between runtimes on one path."""
SWEPT = 24
"""Number of out-of-gas positions per tree in `make test`; `make bridge` tests all."""


@pytest.fixture(scope="module", params=evms())
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    ready = Stage(Bundle.open(bundle_file(BUNDLE)), request.param)
    yield ready
    ready.machine.close()


def prepare(stage: Stage, tree: Tree) -> dict[ActorID, ActorState]:
    """Install a tree's contracts and return the initial state of all actors."""
    stage.machine.restore(stage._empty)
    install_alloc(stage.machine, tree.case.accounts)
    return actors(stage)


def actors(stage: Stage) -> dict[ActorID, ActorState]:
    stage.machine.state_tree.flush()
    return dict(stage.machine.state_tree.actors())


def send(stage: Stage, tree: Tree, gas_limit: int = GAS_LIMIT) -> tuple[ApplyResult, Sequence[TraceEvent]]:
    call = tree.case.calls[0]
    assert call.to is not None
    message = Message(
        to_filecoin(call.to), to_filecoin(SENDER), value=TokenAmount(call.value), method=INVOKE_EVM,
        params=byte_string(call.data), gas_limit=Gas(gas_limit),
    )  # fmt: skip
    recorder = stage.machine.tracer = Recorder()
    try:
        return stage.machine.apply(message), recorder.events
    finally:
        stage.machine.tracer = None


def charges(events: Sequence[TraceEvent]) -> list[int]:
    return [event.milligas for event in events if isinstance(event, GasCharged)]


@pytest.mark.parametrize("number", range(12))
def test_bridge_gas_of_all_charges_is_the_gas_of_the_receipt(stage: Stage, number: int) -> None:
    tree = Tree(SEED, number)
    prepare(stage, tree)
    result, events = send(stage, tree)
    assert result.exit_code != ExitCode.SYS_OUT_OF_GAS
    assert result.gas_used == -(-sum(charges(events)) // MILLIGAS_PER_GAS)


@pytest.mark.parametrize("number", range(12))
def test_bridge_call_gas_includes_own_and_nested_charges(stage: Stage, number: int) -> None:
    tree = Tree(SEED, number)
    prepare(stage, tree)
    _, events = send(stage, tree)
    used: list[int] = []
    left: list[int] = []
    for event in events:
        if isinstance(event, CallStarted):
            assert not left or event.gas_available <= left[-1] - used[-1], "a call has more than its caller"
            used.append(0)
            left.append(event.gas_available)
        elif isinstance(event, GasCharged) and used:
            used[-1] += event.milligas
        elif isinstance(event, CallEnded):
            mine = used.pop()
            left.pop()
            assert event.gas_used == mine
            if used:
                used[-1] += mine
    assert used == []


@pytest.mark.slow
def test_bridge_gas_that_runs_out_anywhere_leaves_a_whole_state(stage: Stage) -> None:
    sweep(stage, Tree(SEED, TO_AND_FRO[0]), SWEPT)


@pytest.mark.long
@pytest.mark.parametrize("number", TO_AND_FRO)
def test_bridge_out_of_gas_at_each_charge_keeps_state_consistent(stage: Stage, number: int) -> None:
    sweep(stage, Tree(SEED, number), None)


@pytest.mark.parametrize("number", TO_AND_FRO)
def test_bridge_gas_is_swept_over_trees_that_go_to_and_fro(number: int) -> None:
    stage = Stage(Bundle.open(bundle_file(BUNDLE)), "py-evm")
    prepare(stage, Tree(SEED, number))
    result, events = send(stage, Tree(SEED, number))
    assert result.exit_code == ExitCode.OK
    assert call_counts(call_tree(events))["deepest"] >= 3
    stage.machine.close()


def sweep(stage: Stage, tree: Tree, points: int | None) -> None:
    """Run out of gas at each charge, or at about `points` evenly spread ones."""
    first = prepare(stage, tree)
    _, events = send(stage, tree)
    needed = points_of(charges(events))
    chosen = needed if points is None else needed[:: max(len(needed) // points, 1)]
    for limit in chosen:
        assert prepare(stage, tree) == first
        result, _ = send(stage, tree, limit)
        after = actors(stage)
        assert result.fatal is None
        assert result.gas_used <= limit
        assert sum(actor.balance for actor in after.values()) == sum(actor.balance for actor in first.values())
        sender = stage.machine.state_tree.lookup_id(to_filecoin(SENDER))
        assert sender is not None
        included = after[sender].nonce == 1  # a limit that does not pay for this much is the block producer's loss
        if result.exit_code == ExitCode.SYS_OUT_OF_GAS:
            assert result.gas_used == (limit if included else 0)
        if result.exit_code != ExitCode.OK:
            assert after == {**first, sender: replace(first[sender], nonce=int(included))}
            assert result.events == ()
        assert_reachable(stage, after)


def points_of(milligas: Sequence[int]) -> list[int]:
    """Return the gas limits under which each charge in turn is the first unaffordable one."""
    total, limits = 0, []
    for charge in milligas:
        total += charge
        limits.append((total - 1) // MILLIGAS_PER_GAS)
    return sorted({limit for limit in limits if limit > 0})


def assert_reachable(stage: Stage, after: dict[ActorID, ActorState]) -> None:
    """Assert that every actor's state and all blocks below it, except code, are in the store."""
    open_, known = [state.head for state in after.values()], set()
    while open_:
        cid = open_.pop()
        if cid not in known:
            known.add(cid)
            open_ += links_of(stage.machine.store.get(cid), codec_of(cid))


LIMIT = 1024
AMPLE = Gas(9_000_000_000_000_000)


@pytest.fixture(scope="module")
def depth_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoStage]:
    ready = DemoStage(tmp_path_factory.mktemp("depth") / "state")
    ready.create_counter()
    ready.deploy("Recursion")
    yield ready
    ready.machine.close()


def run(stage: DemoStage, to: Address, method: MethodNumber, params: bytes, gas: Gas = AMPLE) -> ApplyResult:
    return stage.machine.call(Message(to, stage.eth_account, method=method, params=params, gas_limit=gas))


def native(stage: DemoStage, depth: int, gas: Gas = AMPLE) -> ApplyResult:
    return run(stage, Address.id(stage.counter), method_number("Recurse"), encode(depth), gas)


def contracts(stage: DemoStage, function: str, *arguments: int, gas: Gas = AMPLE) -> ApplyResult:
    calldata = invoke_params(contract("Recursion").interface.encode_call(function, *arguments))
    return run(stage, to_filecoin(stage.contracts["Recursion"]), INVOKE_EVM, calldata, gas)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "levels", "error"),
    [
        (LIMIT - 1, LIMIT, 0),
        (LIMIT, LIMIT, -ErrorNumber.LIMIT_EXCEEDED),
        (3 * LIMIT, LIMIT, -ErrorNumber.LIMIT_EXCEEDED),
    ],
)
def test_native_calls_nest_to_limit_then_return_error_number(
    depth_stage: DemoStage, asked: int, levels: int, error: int
) -> None:
    result = native(depth_stage, asked)
    assert (result.exit_code, decode(result.return_data)) == (ExitCode.OK, [levels, error])


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "reached"), [(LIMIT - 1, True), (LIMIT, False), (3 * LIMIT, False)])
def test_contract_calls_nest_to_the_limit_and_then_fail(depth_stage: DemoStage, asked: int, reached: bool) -> None:
    result = contracts(depth_stage, "dive", asked)
    answer = contract("Recursion").interface.decode_result("dive", invoke_return(result.return_data))
    assert answer == (LIMIT, reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "error"), [(LIMIT - 1, 0), (LIMIT, -ErrorNumber.LIMIT_EXCEEDED), (3 * LIMIT, -ErrorNumber.LIMIT_EXCEEDED)]
)
def test_contracts_and_native_actors_nest_to_the_same_limit(depth_stage: DemoStage, asked: int, error: int) -> None:
    result = contracts(depth_stage, "ping", depth_stage.counter, asked)
    answer = contract("Recursion").interface.decode_result("ping", invoke_return(result.return_data))
    assert answer == (LIMIT, error)


@pytest.mark.parametrize("method", ["Spin", "Trap"])
def test_endless_or_trapping_guest_ends_with_its_exit_code(depth_stage: DemoStage, method: str) -> None:
    before = depth_stage.machine.root
    result = run(depth_stage, Address.id(depth_stage.counter), method_number(method), b"", Gas(1_000_000_000))
    expected = {"Spin": ExitCode.SYS_OUT_OF_GAS, "Trap": ExitCode.SYS_ILLEGAL_INSTRUCTION}
    assert result.exit_code == expected[method]
    assert depth_stage.machine.root == before


@pytest.mark.slow
def test_recursion_ends_out_of_gas_before_depth_limit(depth_stage: DemoStage) -> None:
    result = native(depth_stage, LIMIT, Gas(50_000_000))
    assert result.exit_code == ExitCode.SYS_OUT_OF_GAS
    assert result.gas_used == 50_000_000


@pytest.mark.slow
def test_thread_exhaustion_reverts_the_message(depth_stage: DemoStage, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def few(*arguments: Any) -> None:
        started.append(arguments)
        if len(started) > 3:
            raise RuntimeError("can't start new thread")
        start_new_thread(*arguments)

    before = depth_stage.machine.root
    depth_stage.machine.stacks.dismiss()
    monkeypatch.setattr(threads, "start_new_thread", few)
    with pytest.raises(MemoryError):
        native(depth_stage, 100)
    assert depth_stage.machine.root == before
    monkeypatch.undo()
    assert native(depth_stage, 100).exit_code == ExitCode.OK
