"""State folders and commits.

- State folders: records, and folders that are rejected.
- The blocks that a commit writes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.kernel import Kernel
from hypervisor.machine.machine import CreationFailed, Hypervisor
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import Flushed, Recorder
from hypervisor.types import INIT_ACTOR, METHOD_SEND, ActorID, BlockId, ChainEpoch, Gas, TokenAmount
from hypervisor.versions.network_versions import network_version
from store.blocks.memory import MemoryStore
from store.blockstore import NOTHING, BlockNotFound, StoreClosed, StoreError, StoreFormatError, StoreLocked
from store.cid import DAG_CBOR, Cid, cid_of
from store.codec import decode_strict, encode, link
from store.rocks.database import RocksStore
from tests.hypervisor.conftest import GENESIS
from tests.hypervisor.machine.test_machine import CODE, MODULE, STATE, balance, send, writing
from tests.hypervisor.world import NEW_ETH, NEW_KEY, SENDER, SENDER_BALANCE, ScriptedRuntime, World, exiting


def test_folder_stores_state_network_epoch_and_installed_code(
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
        assert len(runtime.invoked) == 1  # the constructors of the singletons have not run again


def test_unflushed_state_is_lost(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    with Hypervisor.open(tmp_path / "state", bundle=bundle, genesis=GENESIS) as machine:
        root = machine.root
        send(machine, NEW_KEY, value=5)
    with Hypervisor.open(tmp_path / "state") as again:
        assert (again.root, balance(again, NEW_KEY)) == (root, 0)


def test_folder_may_be_opened_with_another_network_version(
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (encode({**GOOD_RECORD, "rules": "ethereum"}), "rules 'ethereum' and cannot be opened under 'filecoin'"),
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
def test_folder_with_bad_record_or_rules_is_refused_and_unlocked(
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


@pytest.mark.slow
def test_unknown_folder_head_raises_block_not_found(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
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


def test_non_store_folder_is_left_untouched(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
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


@pytest.mark.parametrize(
    "other",
    [
        replace(GENESIS, network_name="other"),
        replace(GENESIS, accounts={SENDER: TokenAmount(1)}),
        replace(GENESIS, accounts={NEW_KEY: SENDER_BALANCE}),
        replace(GENESIS, accounts={**GENESIS.accounts, NEW_KEY: TokenAmount(0)}),
    ],
    ids=["name", "balance", "address", "account"],
)
def test_folder_with_another_genesis_is_refused(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle, other: Genesis
) -> None:
    folder = tmp_path / "state"
    with Hypervisor.open(folder, bundle=bundle, genesis=GENESIS) as machine:
        send(machine, NEW_ETH, value=5)
        root = machine.flush()
    with pytest.raises(InvalidInput, match=r"the folder's state began with Genesis.*, not with Genesis") as refused:
        Hypervisor.open(folder, genesis=other)
    for text in (repr(GENESIS), repr(other), "omit the genesis, or use another folder"):
        assert text in str(refused.value)
    with Hypervisor.open(folder, genesis=GENESIS) as again:  # the folder is not locked, and the state is that of before
        assert again.root == root


def test_order_of_genesis_accounts_matters(tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle) -> None:
    """Accounts get their IDs in this order, so another order is another state."""
    funds = {SENDER: TokenAmount(1), NEW_KEY: TokenAmount(1)}
    Hypervisor.open(tmp_path / "state", bundle=bundle, genesis=Genesis(accounts=funds)).close()
    with pytest.raises(InvalidInput, match="the folder's state began with"):
        Hypervisor.open(tmp_path / "state", genesis=Genesis(accounts=dict(reversed(funds.items()))))


@pytest.mark.slow
def test_folder_of_a_version_that_prints_genesis_otherwise_is_opened(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    folder = tmp_path / "state"
    Hypervisor.open(folder, bundle=bundle, genesis=GENESIS).close()
    with RocksStore.open(folder) as store:
        recorded = store.metadata(b"genesis")
    assert recorded is not None
    _, genesis_cid = decode_strict(recorded)
    rewrite(folder, encode(["Genesis in other words", genesis_cid]), b"genesis")
    Hypervisor.open(folder, genesis=GENESIS).close()
    with pytest.raises(InvalidInput, match="the folder's state began with Genesis in other words"):
        Hypervisor.open(folder, genesis=replace(GENESIS, network_name="other"))


@pytest.mark.parametrize("genesis", [None, GENESIS], ids=["without a genesis", "with the recorded one"])
def test_opening_does_not_read_the_state_of_the_init_actor(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle, genesis: Genesis | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork may have to fetch this block from another node, which may be unreachable."""
    folder = tmp_path / "state"
    with Hypervisor.open(folder, bundle=bundle, genesis=GENESIS) as machine:
        init = machine.state_tree.existing(INIT_ACTOR).head
    read = RocksStore.get

    def get(store: RocksStore, cid: Cid) -> bytes:
        if cid == init:
            raise BlockNotFound(cid)
        return read(store, cid)

    monkeypatch.setattr(RocksStore, "get", get)
    with Hypervisor.open(folder, genesis=genesis) as machine:
        assert balance(machine, Address.id(100)) == SENDER_BALANCE


@pytest.mark.slow
def test_folder_without_a_genesis_record_is_compared_by_name(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle
) -> None:
    """Folders of older programs, and those that an import began, have no record."""
    folder = tmp_path / "state"
    with Hypervisor.open(folder, bundle=bundle, genesis=GENESIS) as machine:
        machine.base.commit((), {b"genesis": None})
    with pytest.raises(InvalidInput, match=f"is that of the network '{GENESIS.network_name}', not of 'other'"):
        Hypervisor.open(folder, genesis=replace(GENESIS, network_name="other"))
    Hypervisor.open(folder, genesis=GENESIS).close()
    rewrite(folder, b"\xff", b"genesis")
    with pytest.raises(InvalidInput, match="record of its genesis cannot be read"):
        Hypervisor.open(folder, genesis=GENESIS)


@pytest.mark.parametrize("path", [":memory:", "state"])
def test_closed_machine_applies_no_messages(
    tmp_path: Path, runtime: ScriptedRuntime, bundle: Bundle, path: str
) -> None:
    machine = Hypervisor.open(path if path == ":memory:" else tmp_path / path, bundle=bundle, genesis=GENESIS)
    machine.close()
    message = Message(NEW_ETH, SENDER, value=TokenAmount(1))
    for use in (machine.apply, machine.apply_implicit, machine.call):
        with pytest.raises(StoreClosed, match="the machine is closed: open its folder again, or another machine"):
            use(message)
    with pytest.raises(StoreClosed, match="the machine is closed"):
        machine.flush()
    machine.close()


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


def test_flush_writes_only_blocks_linked_from_root(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    lost, other = encode(["lost"]), encode(["an older state"])
    to = Address.id(machine.create(machine.install(MODULE)).id)

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.link(kernel.ipld.create(DAG_CBOR, lost))
        writing(other)(kernel, _params)
        leaf = kernel.ipld.link(kernel.ipld.create(DAG_CBOR, STATE))
        kernel.set_root(kernel.ipld.link(kernel.ipld.create(DAG_CBOR, encode([link(leaf)]))))

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
    """A device without free space."""


class StubbornStore(MemoryStore):
    """A store that rejects commits while a flag is set."""

    refusing = False

    def commit(
        self,
        blocks: Iterable[tuple[Cid, bytes]],
        metadata: Mapping[bytes, bytes | None],
        index: Mapping[bytes, bytes | None] = NOTHING,
        expected: Mapping[bytes, bytes | None] = NOTHING,
        chain: Iterable[tuple[Cid, bytes]] = (),
    ) -> None:
        if self.refusing:
            raise Full("no space left on device")
        super().commit(blocks, metadata, index, expected, chain)


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
    again.machine.restore(again.machine.snapshot()._replace(root=root))
    assert again.balance(NEW_KEY) == 5


def test_chain_blocks_and_index_are_committed_atomically(machine: Hypervisor) -> None:
    header = encode(["header"])
    machine.flush(((cid_of(header), header),), {b"height": b"\x01"})
    assert machine.base.get(cid_of(header)) == header
    assert machine.base.index(b"height") == b"\x01"


def test_the_context_is_advanced_field_by_field(machine: Hypervisor) -> None:
    machine.advance(epoch=ChainEpoch(7), timestamp=210, base_fee=TokenAmount(100))
    context = machine.context
    assert (context.epoch, context.timestamp, context.base_fee) == (7, 210, 100)
    assert context.network.number == 29
    with pytest.raises(TypeError):
        machine.advance(height=7)  # type: ignore[call-arg]  # what a typo looks like
