"""The machine: opening, applying, calling, creating, forking, snapshots, committing, and folders that outlive it.

Actors are scripts: the runtimes that the machine finds are replaced by `ScriptedRuntime`, over a made-up bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hypervisor.address import Address
from hypervisor.bundle import Bundle
from hypervisor.context import DEVNET_CHAIN_ID, MachineContext
from hypervisor.errors import Fatal, InvalidInput, InvalidModule
from hypervisor.genesis import Genesis
from hypervisor.kernel import Kernel
from hypervisor.machine import CreationFailed, Hypervisor
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.runtime import Outcome
from hypervisor.state_tree import ActorState
from hypervisor.tracing import Flushed, Recorder
from hypervisor.types import (
    INIT_ACTOR,
    METHOD_SEND,
    SYSTEM_ACTOR,
    ActorID,
    BlockId,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from store.blockstore import NOTHING, BlockNotFound, StoreError, StoreFormatError, StoreLocked
from store.cid import DAG_CBOR, EMPTY_ARRAY_CID, RAW, Cid, cid_of
from store.codec import decode, encode, link
from store.memory import MemoryStore
from store.rocks import RocksStore
from tests.hypervisor.test_bundle import car
from tests.hypervisor.world import (
    NEW_ETH,
    NEW_KEY,
    SENDER,
    SENDER_BALANCE,
    Script,
    ScriptedRuntime,
    World,
    exiting,
    returning,
)

MODULE = b"a user's module"
CODE = cid_of(MODULE, RAW)
GENESIS = Genesis("test", {SENDER: SENDER_BALANCE})
STATE = encode(["kept"])


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> ScriptedRuntime:
    """The one runtime that every machine of the test finds, under every name."""
    scripted = ScriptedRuntime()
    monkeypatch.setattr("hypervisor.registry._installed", lambda _name: lambda _services: scripted)
    return scripted


@pytest.fixture
def bundle() -> Bundle:
    return Bundle.from_car(car())


@pytest.fixture
def machine(runtime: ScriptedRuntime, bundle: Bundle) -> Hypervisor:
    return Hypervisor.open(bundle=bundle, genesis=GENESIS)


def send(machine: Hypervisor, to: Address, method: int = METHOD_SEND, value: int = 0) -> int:
    """Apply a message from `SENDER` with its next nonce; the exit code."""
    sender = machine.actor(SENDER)
    assert sender is not None
    message = Message(to, SENDER, sender.nonce, TokenAmount(value), MethodNumber(method))
    return machine.apply(message).exit_code


def balance(machine: Hypervisor, address: Address) -> int:
    found = machine.actor(address)
    return found.balance if found else 0


def writing(data: bytes) -> Script:
    """A script that makes a block its state."""

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.self_.set_root(kernel.ipld.link(kernel.ipld.create(DAG_CBOR, data)))

    return script


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_new_machine_has_a_genesis_and_has_run_the_constructors(
    machine: Hypervisor, runtime: ScriptedRuntime
) -> None:
    assert balance(machine, SENDER) == SENDER_BALANCE
    assert [(context.receiver, context.caller, context.method) for context in runtime.invoked] == [
        (actor, SYSTEM_ACTOR, 1) for actor in (2, 3, 4, 5, 6, 7, 10)
    ]
    assert machine.context == MachineContext()
    assert (machine.context.network.number, machine.context.chain_id) == (28, DEVNET_CHAIN_ID)
    assert machine.store.pending == {}


def test_a_constructor_may_be_absent_but_not_fail(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    runtime.actors[ActorID(3)] = exiting(22)
    Hypervisor.open(bundle=bundle).close()
    runtime.actors[ActorID(3)] = exiting(16)
    with pytest.raises(CreationFailed, match="exited with 16"):
        Hypervisor.open(bundle=bundle)


def test_the_network_version_is_the_callers(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    assert Hypervisor.open(bundle=bundle, network=21).context.network.number == 21
    with pytest.raises(InvalidInput, match="nv17"):
        Hypervisor.open(bundle=bundle, network=17)


def test_an_unknown_evm_is_refused_with_the_known_ones(bundle: Bundle) -> None:
    with pytest.raises(InvalidInput, match="'geth' is not known: choose one of py-evm, official"):
        Hypervisor.open(bundle=bundle, evm="geth")


def test_contracts_run_in_the_evm_runtime_unless_the_bundles_own_actor_is_asked_for(
    runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    contract = bundle.manifest.code("evm")
    names = [Hypervisor.open(bundle=bundle, evm=evm).registry.names() for evm in ("py-evm", "official")]
    assert names == [{contract: "evm"}, {}]


def test_our_own_bundle_has_no_evm_actor_of_its_own() -> None:
    with pytest.raises(InvalidInput, match="no EVM actor of its own"):
        Hypervisor.open(evm="official")


def test_the_embedded_bundle_opens_and_runs() -> None:
    with Hypervisor.open(genesis=GENESIS) as machine:
        assert machine.manifest == Bundle.embedded().manifest
        assert send(machine, NEW_KEY, value=5) == 0
        assert balance(machine, NEW_KEY) == 5


def test_two_machines_of_the_same_genesis_have_the_same_root(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    first, second = (Hypervisor.open(bundle=bundle, genesis=GENESIS) for _ in range(2))
    assert first.root == second.root
    send(first, NEW_KEY, value=1)
    assert first.root != second.root


def test_a_state_without_a_system_actor_is_broken(runtime: ScriptedRuntime, machine: Hypervisor) -> None:
    machine.state_tree.delete_actor(SYSTEM_ACTOR)
    root = machine.flush()
    with pytest.raises(Fatal, match="no system actor"):
        Hypervisor.at(machine.base, root, machine.context)


def test_a_machine_at_a_foreign_state_has_the_empty_state_of_new_actors(runtime: ScriptedRuntime) -> None:
    source = World()
    root = source.machine.root
    base = MemoryStore()
    base.put_many((cid, data) for cid, data in source.machine.store.pending.items() if cid != EMPTY_ARRAY_CID)
    foreign = Hypervisor.at(base, root, MachineContext())

    def constructor(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.open(kernel.self_.root())

    runtime.codes[source.code("account")] = constructor
    assert send(foreign, NEW_KEY, value=1) == 0
    foreign.flush()
    assert base.get(EMPTY_ARRAY_CID) == b"\x80"


# --- calls that keep nothing --------------------------------------------------------------------------------------


def message_of_the_system(to: Address, method: int = 2, **fields: object) -> Message:
    return replace(Message(to, Address.id(SYSTEM_ACTOR), method=MethodNumber(method)), **fields)  # type: ignore[arg-type]


def test_a_call_answers_what_a_message_would_and_keeps_nothing(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    to = Address.id(machine.create(_install(machine)).id)

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        writing(STATE)(kernel, _params)
        kernel.send(NEW_KEY, METHOD_SEND)
        return Outcome(33 if kernel.context.method == 3 else 0, kernel.ipld.create(RAW, b"answer"))

    runtime.codes[CODE] = script
    root, pending = machine.root, dict(machine.store.pending)
    answer = machine.call(message_of_the_system(to))
    assert (answer.exit_code, answer.return_data) == (0, b"answer")
    assert machine.call(message_of_the_system(to, 3)).exit_code == 33
    assert (machine.root, machine.store.pending) == (root, pending)
    applied = machine.apply_implicit(message_of_the_system(to))
    assert (applied.receipt, machine.root != root) == (answer.receipt, True)


def test_a_call_that_raises_keeps_nothing_either(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, STATE))
        raise ZeroDivisionError("a defect of ours")

    to = Address.id(machine.create(_install(machine)).id)
    runtime.codes[CODE] = script
    root = machine.root
    with pytest.raises(ZeroDivisionError):
        machine.call(message_of_the_system(to))
    assert machine.root == root
    assert not machine.store.has(cid_of(STATE))


def test_trials_nest_and_messages_inside_see_each_other(machine: Hypervisor) -> None:
    root = machine.root
    with machine.trial():
        send(machine, NEW_KEY, value=1)
        with machine.trial():
            send(machine, NEW_KEY, value=1)
            assert balance(machine, NEW_KEY) == 2
        assert balance(machine, NEW_KEY) == 1
    assert machine.root == root
    assert send(machine, NEW_KEY, value=7) == 0
    assert balance(machine, NEW_KEY) == 7


# --- user code ----------------------------------------------------------------------------------------------------


def _install(machine: Hypervisor) -> Cid:
    return machine.install(MODULE)


def test_installed_code_has_the_cid_of_its_bytes_and_can_be_created(
    machine: Hypervisor, runtime: ScriptedRuntime
) -> None:
    code = machine.install(MODULE)
    assert code == CODE
    runtime.codes[code] = returning(b"constructed", RAW)
    created = machine.create(code, b"\x80", TokenAmount(9))
    assert created.result.return_data == b"constructed"
    assert machine.actor(Address.id(created.id)) == ActorState(code, balance=TokenAmount(9))
    assert machine.state_tree.lookup_id(created.address) == created.id
    context = runtime.invoked[-1]
    assert (context.caller, context.receiver, context.method) == (INIT_ACTOR, created.id, 1)


def test_created_actors_have_different_addresses(machine: Hypervisor) -> None:
    code = machine.install(MODULE)
    first, second = machine.create(code), machine.create(code)
    assert (first.id, second.id) == (101, 102)
    assert first.address != second.address


def test_a_constructor_that_refuses_leaves_nothing(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    code = machine.install(MODULE)
    root = machine.root
    runtime.codes[code] = exiting(16)
    with pytest.raises(CreationFailed, match="exited with 16") as caught:
        machine.create(code, value=TokenAmount(5))
    assert caught.value.result.exit_code == 16
    assert machine.root == root
    runtime.codes[code] = exiting(0)
    assert machine.create(code).id == 101


def test_code_that_is_not_installed_cannot_be_created(machine: Hypervisor) -> None:
    root = machine.root
    with pytest.raises(InvalidInput, match="install it first"):
        machine.create(cid_of(b"unknown", RAW))
    assert machine.root == root


def test_a_module_that_the_rules_refuse_is_not_kept(machine: Hypervisor) -> None:
    with pytest.raises(InvalidModule):
        machine.install(b"bad module")
    assert not machine.store.has(cid_of(b"bad module", RAW))


def test_code_of_another_runtime_cannot_be_installed(machine: Hypervisor) -> None:
    machine.registry.override(CODE, "evm")
    with pytest.raises(InvalidInput, match="belongs to the runtime 'evm'"):
        machine.install(MODULE)


def test_a_message_to_an_actor_without_code_is_fatal_and_says_so(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    lost = cid_of(b"lost", RAW)
    machine.state_tree.set_actor(ActorID(5_000), ActorState(lost))

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.load_code(lost)  # as every runtime does first

    runtime.codes[lost] = script
    sender = machine.actor(SENDER)
    assert sender is not None
    result = machine.apply(Message(Address.id(5_000), SENDER, sender.nonce, method=MethodNumber(2)))
    assert (result.exit_code, result.gas_used) == (10, 10_000_000_000)
    assert result.fatal is not None
    assert "the code of f05000 is missing" in str(result.fatal)


# --- forks and snapshots ------------------------------------------------------------------------------------------


def test_a_fork_and_its_origin_do_not_see_each_other(machine: Hypervisor) -> None:
    send(machine, NEW_KEY, value=1)  # not flushed yet
    fork = machine.fork()
    assert fork.root == machine.root
    send(fork, NEW_KEY, value=10)
    send(machine, NEW_KEY, value=100)
    assert (balance(fork, NEW_KEY), balance(machine, NEW_KEY)) == (11, 101)
    fork.flush()
    machine.flush()
    assert (balance(fork, NEW_KEY), balance(machine, NEW_KEY)) == (11, 101)
    fork.close()
    assert send(machine, NEW_KEY, value=1) == 0


def test_a_fork_writes_nothing_to_the_store_of_its_origin(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    machine = Hypervisor.open(bundle=bundle, genesis=GENESIS)
    assert isinstance(machine.base, MemoryStore)
    blocks, head = len(machine.base), machine.base.metadata(b"head")
    fork = machine.fork()
    send(fork, NEW_KEY, value=10)
    fork.install(MODULE)
    fork.flush()
    assert (len(machine.base), machine.base.metadata(b"head")) == (blocks, head)
    assert not machine.store.has(CODE)


def test_a_fork_of_an_older_root_goes_on_from_there(machine: Hypervisor) -> None:
    old = machine.flush()
    send(machine, NEW_KEY, value=1)
    machine.flush()
    fork = machine.fork(old)
    assert (fork.root, balance(fork, NEW_KEY)) == (old, 0)


def test_a_snapshot_brings_back_state_and_unwritten_blocks_any_number_of_times(machine: Hypervisor) -> None:
    send(machine, NEW_KEY, value=1)
    snapshot = machine.snapshot()
    for _ in range(2):
        send(machine, NEW_ETH, value=1)
        send(machine, NEW_KEY, value=1)
        machine.restore(snapshot)
        assert machine.root == snapshot.root
        assert (balance(machine, NEW_KEY), balance(machine, NEW_ETH)) == (1, 0)
    machine.flush()
    assert balance(machine, NEW_KEY) == 1


def test_a_snapshot_from_before_a_commit_can_be_restored_after_it(machine: Hypervisor) -> None:
    snapshot = machine.snapshot()
    send(machine, NEW_KEY, value=1)
    machine.flush()
    machine.restore(snapshot)
    assert (machine.root, balance(machine, NEW_KEY)) == (snapshot.root, 0)
    assert machine.flush() == snapshot.root


def test_code_installed_after_a_snapshot_is_gone_with_it(machine: Hypervisor) -> None:
    snapshot = machine.snapshot()
    machine.install(MODULE)
    machine.restore(snapshot)
    with pytest.raises(InvalidInput, match="install it first"):
        machine.create(CODE)
    machine.flush()
    assert decode(machine.base.metadata(b"installed") or b"") == []
    machine.install(MODULE)
    machine.flush()
    assert machine.base.get(CODE) == MODULE


# --- committing ---------------------------------------------------------------------------------------------------


def test_a_flush_writes_what_the_root_links_and_nothing_else(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    lost, other = encode(["lost"]), encode(["an older state"])
    to = Address.id(machine.create(machine.install(MODULE)).id)

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, lost))
        writing(other)(kernel, _params)
        leaf = kernel.ipld.link(kernel.ipld.create(DAG_CBOR, STATE))
        kernel.self_.set_root(kernel.ipld.link(kernel.ipld.create(DAG_CBOR, encode([link(leaf)]))))

    runtime.codes[CODE] = script
    assert send(machine, to, 2) == 0
    assert machine.store.has(cid_of(lost))
    root = machine.flush()
    base = machine.base
    assert base.metadata(b"head") == root
    assert base.has(cid_of(STATE))
    assert base.has(cid_of(encode([link(cid_of(STATE))])))
    assert [base.has(cid_of(block)) for block in (lost, other)] == [False, False]
    assert base.get(CODE) == MODULE
    assert machine.store.pending == {}


def test_blocks_of_reverted_messages_never_reach_the_store(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    to = Address.id(machine.create(machine.install(MODULE)).id)

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        writing(STATE)(kernel, _params)
        return Outcome(33)

    runtime.codes[CODE] = script
    assert send(machine, to, 2) == 33
    machine.flush()
    assert not machine.base.has(cid_of(STATE))


def test_a_flush_without_changes_commits_the_same_root(machine: Hypervisor) -> None:
    root = machine.root
    assert machine.flush() == root == machine.flush()


def test_a_tracer_hears_of_a_commit(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    recorder = Recorder()
    machine = Hypervisor.open(bundle=bundle, genesis=GENESIS, tracer=recorder)
    recorder.events.clear()
    send(machine, NEW_KEY, value=1)
    machine.tracer = recorder
    root = machine.flush()
    flushed = recorder.events[-1]
    assert isinstance(flushed, Flushed)
    assert flushed.root == root
    assert flushed.blocks > 2


class Full(StoreError):
    """No space left on the device."""


class StubbornStore(MemoryStore):
    """Refuses commits while it is told to."""

    refusing = False

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
    ) -> None:
        if self.refusing:
            raise Full("no space left on device")
        super().commit(blocks, metadata, index, expected)


def test_a_commit_that_fails_can_be_repeated() -> None:
    base = StubbornStore()
    world = World(base=base)
    world.machine.flush()
    head = base.metadata(b"head")
    world.send(NEW_KEY, METHOD_SEND, value=TokenAmount(5))
    base.refusing = True
    with pytest.raises(Full):
        world.machine.flush()
    assert base.metadata(b"head") == head
    assert world.balance(NEW_KEY) == 5
    base.refusing = False
    root = world.machine.flush()
    again = World(base=base)  # reads the same blocks
    again.machine.restore(replace(again.machine.snapshot(), root=root))
    assert again.balance(NEW_KEY) == 5


def test_a_chain_commits_its_own_blocks_and_index_in_the_same_step(machine: Hypervisor) -> None:
    header = encode(["header"])
    machine.flush(((cid_of(header), header),), {b"height": b"\x01"})
    assert machine.base.get(cid_of(header)) == header
    assert machine.base.index(b"height") == b"\x01"


def test_the_context_is_advanced_field_by_field(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(7), timestamp=210, base_fee=TokenAmount(100))
    context = machine.context
    assert (context.epoch, context.timestamp, context.base_fee) == (7, 210, 100)
    assert context.network.number == 28
    with pytest.raises(TypeError):
        machine.advance(height=7)


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_remembers_state_network_epoch_and_installed_code(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    folder = tmp_path / "state"
    with Hypervisor.open(folder, bundle=bundle, genesis=GENESIS, network=24) as machine:
        code = machine.install(MODULE)
        created = machine.create(code, value=TokenAmount(7))
        machine.advance(epoch=ChainEpoch(77), timestamp=2310)
        assert send(machine, NEW_KEY, value=5) == 0
        root = machine.flush()
    runtime.invoked.clear()
    with Hypervisor.open(folder) as again:
        assert again.root == root
        assert (balance(again, NEW_KEY), balance(again, Address.id(created.id))) == (5, 7)
        assert (again.context.network.number, again.context.epoch, again.context.timestamp) == (24, 77, 2310)
        assert again.create(code).id == created.id + 2
        assert runtime.invoked[-1].method == 1
        assert len(runtime.invoked) == 1  # no constructor of a singleton has run again


def test_what_was_not_flushed_is_gone(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    with Hypervisor.open(tmp_path / "state", bundle=bundle, genesis=GENESIS) as machine:
        root = machine.root
        send(machine, NEW_KEY, value=5)
    with Hypervisor.open(tmp_path / "state") as again:
        assert (again.root, balance(again, NEW_KEY)) == (root, 0)


def test_the_caller_may_run_a_folder_under_another_network_version(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    Hypervisor.open(tmp_path / "state", bundle=bundle, network=24).close()
    with Hypervisor.open(tmp_path / "state", network=25) as machine:
        assert machine.context.network.number == 25
    context = MachineContext(network_version(26), epoch=ChainEpoch(9))
    with Hypervisor.open(tmp_path / "state", context=context) as machine:
        assert machine.context == context


def rewrite(folder: Path, record: bytes, key: bytes = b"machine") -> None:
    store = RocksStore.open(folder)
    store.commit((), {key: record})
    store.close()


GOOD_RECORD = {"rules": "filecoin", "network": 28, "epoch": 0, "timestamp": 0, "chain_id": 1}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (encode({**GOOD_RECORD, "rules": "ethereum"}), "rules 'ethereum': it cannot be opened under 'filecoin'"),
        (encode({**GOOD_RECORD, "rules": "later", "network": 99}), "rules 'later'"),
        (encode({**GOOD_RECORD, "network": 99}), "nv99 is not known"),
        (encode({**GOOD_RECORD, "network": [28]}), "cannot be read"),
        (encode({**GOOD_RECORD, "epoch": "7"}), "cannot be read"),
        (encode({**GOOD_RECORD, "timestamp": None}), "cannot be read"),
        (encode({**GOOD_RECORD, "chain_id": b"x"}), "cannot be read"),
        (encode({"rules": "filecoin"}), "cannot be read"),
        (encode([1, 2]), "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["rules", "rules first", "network", "list", "epoch", "timestamp", "chain", "short", "array", "no CBOR",
         "empty"],
)  # fmt: skip
def test_a_folder_under_other_rules_or_with_a_broken_record_is_refused_and_released(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle, record: bytes, words: str
) -> None:
    folder = tmp_path / "state"
    Hypervisor.open(folder, bundle=bundle).close()
    rewrite(folder, record)
    for context in (None, MachineContext()):
        with pytest.raises(InvalidInput, match=words):
            Hypervisor.open(folder, context=context)
    rewrite(folder, encode(GOOD_RECORD))  # the folder is not locked
    Hypervisor.open(folder).close()


def test_a_head_that_the_folder_has_no_state_for_is_the_stores_error(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    folder = tmp_path / "state"
    Hypervisor.open(folder, bundle=bundle).close()
    for head in (cid_of(b"nothing"), b"no CID at all"):
        rewrite(folder, head, b"head")
        with pytest.raises(BlockNotFound, match="not in the store"):
            Hypervisor.open(folder)


@pytest.mark.parametrize("record", [b"", b"\xff", encode(7), encode([7]), encode({"a": 1})], ids=repr)
def test_a_broken_list_of_installed_code_is_refused(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle, record: bytes
) -> None:
    folder = tmp_path / "state"
    Hypervisor.open(folder, bundle=bundle).close()
    rewrite(folder, record, b"installed")
    with pytest.raises(InvalidInput, match="installed code cannot be read"):
        Hypervisor.open(folder)


def test_a_folder_is_opened_by_one_machine_at_a_time(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    with Hypervisor.open(tmp_path / "state", bundle=bundle), pytest.raises(StoreLocked):
        Hypervisor.open(tmp_path / "state")
    Hypervisor.open(tmp_path / "state").close()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    (tmp_path / "letters.txt").write_text("dear all")
    with pytest.raises(StoreFormatError, match="not empty"):
        Hypervisor.open(tmp_path, bundle=bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_genesis_that_fails_leaves_a_folder_that_opens_afresh(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    runtime.actors[ActorID(10)] = exiting(16)
    with pytest.raises(CreationFailed):
        Hypervisor.open(tmp_path / "state", bundle=bundle)
    runtime.actors.clear()
    with Hypervisor.open(tmp_path / "state", bundle=bundle, genesis=GENESIS) as machine:
        assert balance(machine, SENDER) == SENDER_BALANCE


def test_a_fork_of_a_folder_leaves_the_folder_alone(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    with Hypervisor.open(tmp_path / "state", bundle=bundle, genesis=GENESIS) as machine:
        root = machine.root
        fork = machine.fork()
        send(fork, NEW_KEY, value=5)
        fork.flush()
        fork.close()
        assert send(machine, NEW_ETH, value=1) == 0  # the store is still open
    with Hypervisor.open(tmp_path / "state") as again:
        assert again.root == root


def test_gas_limits_of_constructors_are_no_messages_concern(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    limits: list[int] = []

    def script(kernel: Kernel, _params: BlockId) -> None:
        limits.append(kernel.gas.limit)

    runtime.codes[machine.install(MODULE)] = script
    machine.create(CODE)
    assert limits == [Gas(10_000_000_000) * 1000]
