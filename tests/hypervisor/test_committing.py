"""The blocks that a commit writes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.kernel import Kernel
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.tracing import Flushed, Recorder
from hypervisor.types import METHOD_SEND, BlockId, ChainEpoch, TokenAmount
from store.blocks.memory import MemoryStore
from store.blockstore import NOTHING, StoreError
from store.cid import DAG_CBOR, Cid, cid_of
from store.codec import encode, link
from tests.hypervisor.conftest import GENESIS
from tests.hypervisor.machine.test_machine import CODE, MODULE, STATE, send, writing
from tests.hypervisor.world import NEW_KEY, ScriptedRuntime, World


def test_flush_writes_only_blocks_linked_from_root(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
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
