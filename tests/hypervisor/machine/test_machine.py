"""The machine, and the selection of runtimes.

- The machine: opening, trials, user code, forks, snapshots, commits.
- Selection of the runtime for a code CID, and missing runtimes.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.context import DEVNET_CHAIN_ID, MachineContext
from hypervisor.errors import Fatal, InvalidInput, InvalidModule, RuntimeUnavailable
from hypervisor.kernel import Kernel
from hypervisor.machine.machine import CreationFailed, Hypervisor
from hypervisor.machine.registry import Outcome, Registry, Runtime, RuntimeServices
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import Tracer
from hypervisor.types import INIT_ACTOR, METHOD_SEND, SYSTEM_ACTOR, ActorID, BlockId, MethodNumber, TokenAmount
from store.blocks.memory import MemoryStore
from store.cid import DAG_CBOR, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import decode, encode
from tests.hypervisor.conftest import GENESIS
from tests.hypervisor.world import (
    NEW_ETH,
    NEW_KEY,
    SENDER,
    SENDER_BALANCE,
    ForwardingRuntime,
    Script,
    ScriptedRuntime,
    World,
    exiting,
    returning,
)

MODULE = b"a user's module"
CODE = cid_of(MODULE, RAW)
STATE = encode(["kept"])


def send(machine: Hypervisor, to: Address, method: int = METHOD_SEND, value: int = 0) -> int:
    """Apply a message from `SENDER` with its next nonce, and return the exit code."""
    sender = machine.actor(SENDER)
    assert sender is not None
    message = Message(to, SENDER, sender.nonce, TokenAmount(value), MethodNumber(method))
    return machine.apply(message).exit_code


def balance(machine: Hypervisor, address: Address) -> int:
    found = machine.actor(address)
    return found.balance if found else 0


def writing(data: bytes) -> Script:

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.set_root(kernel.ipld.link(kernel.ipld.create(DAG_CBOR, data)))

    return script


# --- opening ----------------------------------------------------------------------------------------------------------


def test_new_machine_has_genesis_and_ran_constructors(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    assert balance(machine, SENDER) == SENDER_BALANCE
    assert [(context.receiver, context.caller, context.method) for context in runtime.invoked] == [
        (actor, SYSTEM_ACTOR, 1) for actor in (2, 3, 4, 5, 6, 7, 10)
    ]
    assert machine.context == MachineContext()
    assert (machine.context.network.number, machine.context.chain_id) == (29, DEVNET_CHAIN_ID)
    assert machine.store.pending == {}


@pytest.mark.parametrize("code", [16, 22])
def test_failed_or_missing_singleton_constructor_refuses_open(
    runtime: ScriptedRuntime, bundle: Bundle, code: int
) -> None:
    runtime.actors[ActorID(3)] = exiting(code)
    with pytest.raises(CreationFailed, match=f"exited with {code}"):
        Hypervisor.open(bundle=bundle)


def test_the_network_version_is_the_callers(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    assert Hypervisor.open(bundle=bundle, network=21).context.network.number == 21
    with pytest.raises(InvalidInput, match="nv17"):
        Hypervisor.open(bundle=bundle, network=17)


def test_an_unknown_evm_is_refused_with_the_known_ones(bundle: Bundle) -> None:
    with pytest.raises(InvalidInput, match=r"'geth' is not known: choose one of py-evm, fast, .*official"):
        Hypervisor.open(bundle=bundle, evm="geth")


def test_contracts_run_in_evm_runtime_unless_official_selected(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    contract = bundle.manifest.code("evm")
    names = [Hypervisor.open(bundle=bundle, evm=evm).registry.names() for evm in ("py-evm", "official")]
    assert names == [{contract: "evm"}, {}]


def test_our_own_bundle_has_no_evm_actor_of_its_own() -> None:
    with pytest.raises(InvalidInput, match="no WASM EVM actor"):
        Hypervisor.open(evm="official")


def test_the_embedded_bundle_opens_and_runs() -> None:
    with Hypervisor.open(genesis=GENESIS) as machine:
        assert machine.manifest == Bundle.embedded("v19").manifest
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


def test_machine_at_foreign_state_stores_empty_actor_state(runtime: ScriptedRuntime) -> None:
    source = World()
    root = source.machine.root
    base = MemoryStore()
    base.put_many((cid, data) for cid, data in source.machine.store.pending.items() if cid != EMPTY_ARRAY_CID)
    foreign = Hypervisor.at(base, root, MachineContext())

    def constructor(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.open(kernel.root())

    runtime.codes[source.code("account")] = constructor
    assert send(foreign, NEW_KEY, value=1) == 0
    foreign.flush()
    assert base.get(EMPTY_ARRAY_CID) == b"\x80"


# --- calls without effects --------------------------------------------------------------------------------------------


def message_of_the_system(to: Address, method: int = 2, **fields: Any) -> Message:
    return replace(Message(to, Address.id(SYSTEM_ACTOR), method=MethodNumber(method)), **fields)


def test_machine_call_returns_message_result_and_keeps_no_state(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
    to = Address.id(machine.create(_install(machine)).id)

    def script(kernel: Kernel, _params: BlockId) -> Outcome:
        writing(STATE)(kernel, _params)
        kernel.send(NEW_KEY, METHOD_SEND)
        return Outcome(33 if kernel.context.method == 3 else 0, kernel.ipld.create(RAW, b"answer"))

    runtime.codes[CODE] = script
    root, pending = machine.root, dict(machine.store.pending)
    result = machine.call(message_of_the_system(to))
    assert (result.exit_code, result.return_data) == (0, b"answer")
    assert machine.call(message_of_the_system(to, 3)).exit_code == 33
    assert (machine.root, machine.store.pending) == (root, pending)
    applied = machine.apply_implicit(message_of_the_system(to))
    assert (applied.receipt, machine.root != root) == (result.receipt, True)


def test_raising_call_leaves_state_unchanged(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
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


# --- user code --------------------------------------------------------------------------------------------------------


def _install(machine: Hypervisor) -> Cid:
    return machine.install(MODULE)


def test_installed_code_has_cid_of_its_bytes_and_is_creatable(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
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


def test_failing_constructor_leaves_state_unchanged(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
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


def test_refused_module_is_not_stored(machine: Hypervisor) -> None:
    with pytest.raises(InvalidModule):
        machine.install(b"bad module")
    assert not machine.store.has(cid_of(b"bad module", RAW))


def test_code_of_another_runtime_cannot_be_installed(machine: Hypervisor) -> None:
    machine.registry.override(CODE, "evm")
    with pytest.raises(InvalidInput, match="belongs to the runtime 'evm'"):
        machine.install(MODULE)


def test_message_to_actor_with_missing_code_is_fatal(machine: Hypervisor, runtime: ScriptedRuntime) -> None:
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


# --- forks and snapshots ----------------------------------------------------------------------------------------------


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


def test_a_reader_shares_no_tracer(machine: Hypervisor) -> None:
    """The tracer belongs to one thread, the reader to another."""
    events: list[object] = []

    class Listening(Tracer):
        def event(self, event: object, /) -> None:
            events.append(event)

    machine.tracer = Listening()
    root = machine.flush()
    events.clear()
    reader = machine.reader(root, machine.externs)
    send(reader, NEW_KEY, value=10)
    assert (balance(reader, NEW_KEY), balance(machine, NEW_KEY), events) == (10, 0, [])


def test_fork_writes_nothing_to_original_store(runtime: ScriptedRuntime, bundle: Bundle) -> None:
    machine = Hypervisor.open(bundle=bundle, genesis=GENESIS)
    assert isinstance(machine.base, MemoryStore)
    blocks, head = len(machine.base), machine.base.metadata(b"head")
    fork = machine.fork()
    send(fork, NEW_KEY, value=10)
    fork.install(MODULE)
    fork.flush()
    assert (len(machine.base), machine.base.metadata(b"head")) == (blocks, head)
    assert not machine.store.has(CODE)


def test_fork_of_older_root_starts_from_that_state(machine: Hypervisor) -> None:
    old = machine.flush()
    send(machine, NEW_KEY, value=1)
    machine.flush()
    fork = machine.fork(old)
    assert (fork.root, balance(fork, NEW_KEY)) == (old, 0)


def test_snapshot_restores_state_and_unflushed_blocks_repeatedly(machine: Hypervisor) -> None:
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


def test_snapshot_before_flush_can_be_restored_after_it(machine: Hypervisor) -> None:
    snapshot = machine.snapshot()
    send(machine, NEW_KEY, value=1)
    machine.flush()
    machine.restore(snapshot)
    assert (machine.root, balance(machine, NEW_KEY)) == (snapshot.root, 0)
    assert machine.flush() == snapshot.root


def test_restore_removes_code_installed_after_snapshot(machine: Hypervisor) -> None:
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


REGISTERED_CODE, MARKED = cid_of(b"code", RAW), cid_of(b"marked", RAW)


def test_registry_defaults_to_wasm_and_override_takes_precedence() -> None:
    runtimes = {name: ScriptedRuntime() for name in ("wasm", "evm", "mine")}
    registry = Registry(
        RuntimeServices(), {MARKED: "evm"}, {name: lambda _, r=runtime: r for name, runtime in runtimes.items()}  # type: ignore[misc]  # mypy does not infer a lambda's default
    )  # fmt: skip
    assert registry.runtime_for(REGISTERED_CODE) == ("wasm", runtimes["wasm"])
    assert registry.runtime_for(MARKED) == ("evm", runtimes["evm"])
    registry.override(MARKED, "mine")
    registry.override(REGISTERED_CODE, "mine")
    assert registry.runtime_for(MARKED) == registry.runtime_for(REGISTERED_CODE) == ("mine", runtimes["mine"])
    assert registry.names() == {MARKED: "mine", REGISTERED_CODE: "mine"}


def test_runtime_is_built_lazily_once_with_machine_options() -> None:
    built: list[RuntimeServices] = []

    def build(services: RuntimeServices) -> ScriptedRuntime:
        built.append(services)
        return ScriptedRuntime()

    services = RuntimeServices({"evm": "py-evm"})
    registry = Registry(services, {}, {"wasm": build})
    assert built == []
    assert registry.runtime_for(REGISTERED_CODE) == registry.runtime_for(MARKED)
    assert built == [services]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_runtime_is_put_before_another_one_under_its_name(loaded: bool) -> None:
    behind = ScriptedRuntime()
    registry = Registry(RuntimeServices(), {}, {"wasm": lambda _: behind})
    if loaded:
        assert registry.runtime_for(REGISTERED_CODE) == ("wasm", behind)
    registry.wrap("wasm", ForwardingRuntime)
    name, first = registry.runtime_for(REGISTERED_CODE)
    assert name == "wasm"
    assert isinstance(first, ForwardingRuntime)
    assert first.behind is behind
    registry.wrap("wasm", ForwardingRuntime)
    _, second = registry.runtime_for(REGISTERED_CODE)
    assert isinstance(second, ForwardingRuntime)
    assert second.behind is first


def test_missing_runtime_error_names_what_to_install() -> None:
    registry = Registry(RuntimeServices(), {REGISTERED_CODE: "jvm"})
    with pytest.raises(
        RuntimeUnavailable,
        match=f"runtime 'jvm', required by code {show(REGISTERED_CODE)}, is not installed.*hypervisor.runtimes",
    ):
        registry.runtime_for(REGISTERED_CODE)


def test_message_to_code_without_runtime_is_reverted() -> None:
    world = World()
    to = world.actor(lambda _kernel, _params: None, balance=1)
    world.machine.registry.override(world.code("multisig"), "jvm")
    before = world.machine.root
    with pytest.raises(RuntimeUnavailable):
        world.send(to)
    assert world.machine.root == before
    assert world.send(NEW_KEY, 0).exit_code == 0


def test_threads_that_need_a_runtime_at_once_have_the_same() -> None:
    """Otherwise each has separate caches, and a machine wrapped meanwhile uses a different one than its reader."""
    everyone, built = threading.Barrier(4), list[ScriptedRuntime]()

    def build(_: RuntimeServices) -> ScriptedRuntime:
        threading.Event().wait(0.05)
        built.append(ScriptedRuntime())
        return built[-1]

    registry = Registry(RuntimeServices(), {}, {"wasm": build})

    def ask(_: int) -> Runtime:
        everyone.wait(10)
        return registry.runtime_for(REGISTERED_CODE)[1]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == built * 4
