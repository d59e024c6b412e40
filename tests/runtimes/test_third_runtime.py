"""The runtime of docs/extending.md, installed by its entry point: its actors beside EVM contracts and WASM actors.

Expected words are computed by hand from the programs.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import init, multisig
from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor import Address
from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine import registry
from hypervisor.tracing import CallTrees
from hypervisor.types import INIT_ACTOR
from hypervisor.versions.features import with_features
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.breakpoints import SourceLines
from hypervisor_tools.debugger.execution import Stop
from hypervisor_tools.debugger.session import Session
from hypervisor_tools.debugger.subjects import of_transaction
from hypervisor_tools.laboratory.compare.tally import CallNames
from localnet import CallFailed, Network, TransactionFailed
from localnet.contracts.native_actor import NativeActor
from localnet.rpc.node import Node
from localnet.state.controls import code_of, storage_of
from runtimes.evm import CallInputs, CallKind
from store.blocks.memory import RemoteUnavailable
from store.blockstore import put_object
from store.cid import Cid
from store.codec import encode
from store.keccak import keccak
from tests.localnet.explorer.conftest import Visitor
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.postfix import COUNTER, NATIVE_RUNTIME, RUNTIME, USE, installed_postfix

CALLS_BACK = b"POSTFIX 0 input caller call return"
REVERTS = b"POSTFIX 7 revert"
DELEGATES = b"POSTFIX 5 4 input call return"
CALL_OR_INCREMENT = """
    CALLER ORIGIN EQ @calls JUMPI
    0 CALLDATALOAD 1 ADD 0 MSTORE 32 0 RETURN
    calls: 32 CALLDATASIZE SUB 32 0 CALLDATACOPY
    32 0 32 CALLDATASIZE SUB 0 0 0 CALLDATALOAD GAS CALL POP 32 0 RETURN
"""
"""An EVM contract that calls the address in its first word; another contract's call it answers with its word + 1."""
ABI = [
    {
        "type": "function", "name": "bump", "inputs": [], "stateMutability": "nonpayable",
        "outputs": [{"name": "", "type": "uint256"}],
    },
]  # fmt: skip


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


@pytest.fixture(autouse=True)
def postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with installed_postfix(tmp_path, monkeypatch) as module:
        yield module


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as network:
        yield network


def create(network: Network, program: bytes) -> NativeActor:
    return network.actors.create(network.actors.install(program), cbor=b"")


def deploy(network: Network, code: str) -> EthAddress:
    address = network.send(None, 0, deployer(assemble(code))).contract_address
    assert address is not None
    return address


def test_runtime_of_the_page_is_short_and_its_example_prints_the_documented_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(RUNTIME.splitlines()) <= 150
    exec(compile(USE, "docs/extending.md", "exec"), {})
    (said,) = re.findall(r"# prints (\d+)", USE)
    assert capsys.readouterr().out == f"{said}\n"


def test_native_runtime_of_the_page_adds_the_number_in_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network
) -> None:
    (tmp_path / "native_sum.py").write_text(NATIVE_RUNTIME, encoding="utf-8")
    points = EntryPoints((EntryPoint("sum", "native_sum:SumRuntime", registry.ENTRY_POINT_GROUP),))
    monkeypatch.setattr(registry, "entry_points_of", lambda group: points.select(group=group))
    registry.installed_formats.cache_clear()
    actor = network.actors.create(network.actors.install(b"SUM 7"), cbor=b"")
    actor.send(2, cbor=b"")
    assert (actor.call(2, cbor=b""), code_of(network.machine, actor.address)) == (encode(14), b"")
    with pytest.raises(InvalidModule, match="b'x' is not a number"):
        network.actors.install(b"SUM x")


def test_evm_contract_calls_an_actor_that_calls_it_back(network: Network) -> None:
    actor = create(network, CALLS_BACK)
    caller = deploy(network, CALL_OR_INCREMENT)
    assert network.call(caller, word(network.address(actor)) + word(41)) == word(42)


def test_static_call_of_an_actor_cannot_write(network: Network) -> None:
    static = deploy(network, "0 0 0 0 0 CALLDATALOAD GAS STATICCALL 0 MSTORE 32 0 RETURN")
    assert network.call(static, word(network.address(create(network, COUNTER)))) == word(0)
    assert network.call(static, word(network.address(create(network, b"POSTFIX 0 load return")))) == word(1)


def test_wasm_actor_calls_an_actor(network: Network) -> None:
    counter, owner = create(network, COUNTER), network.accounts[0].native
    code = network.machine.manifest.code("multisig")
    made = network.invoke(
        Address.id(INIT_ACTOR), init.exec(code, multisig.constructor([owner], 1, 0, 0).params), value=10**18
    )
    proposed = network.invoke(made.id_address, multisig.propose(counter.address, 0, INVOKE_EVM, invoke_params(b"")))
    assert (proposed.applied, proposed.code, proposed.ret[-1]) == (True, 0, 1)
    assert network.call(counter) == word(2)


def test_contracts_see_the_code_that_the_runtime_states(network: Network) -> None:
    actor = word(network.address(create(network, COUNTER)))
    for look, seen in (
        ("EXTCODESIZE", word(len(COUNTER))),
        ("EXTCODEHASH", keccak(COUNTER)),
        ("32 0 0 DUP4 EXTCODECOPY 0 MLOAD", COUNTER[:32]),
    ):
        assert network.call(deploy(network, f"0 CALLDATALOAD {look} 0 MSTORE 32 0 RETURN"), actor) == seen


def test_feature_creates_contracts_from_init_code_of_the_format() -> None:
    with Network(overlay=with_features(["code-formats"])) as network:
        made = network.send(None, 0, COUNTER).contract_address
        assert made is not None
        network.send(made)
        assert network.call(made) == word(2)
        assert code_of(network.machine, Address.delegated(10, made)) == COUNTER
        delegates = deploy(network, "32 0 0 0 0 CALLDATALOAD GAS DELEGATECALL POP 32 0 RETURN")
        network.send(delegates, 0, word(made))
        assert storage_of(network.machine, Address.delegated(10, delegates), 0) == word(1)
        assert network.call(deploy(network, "7 0 MSTORE 32 0 RETURN")) == word(7)  # bytecode stays bytecode


def test_folder_with_the_feature_needs_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay = with_features(["code-formats"])
    with Network(tmp_path / "chain", overlay=overlay) as network:
        network.send(None, 0, COUNTER)
    monkeypatch.setattr(registry, "entry_points_of", lambda group: EntryPoints())
    registry.installed_formats.cache_clear()
    for folder in (tmp_path / "chain", ":memory:"):
        with pytest.raises(InvalidInput, match="the feature code-formats needs a runtime with a format of code"):
            Network(folder, overlay=overlay)


def test_creation_without_the_feature_names_the_format() -> None:
    with Network(rules="ethereum") as network, pytest.raises(CallFailed, match="the format of the runtime 'postfix'"):
        network.send(None, 0, COUNTER)
    with Network() as network:
        with pytest.raises(TransactionFailed) as failed:
            network.send(None, 0, COUNTER, gas_limit=16_000_000)
        assert "the format of the runtime 'postfix'" in str(network.trace(failed.value.receipt.hash))


def test_account_queries_see_code_and_slots(network: Network) -> None:
    counter = create(network, COUNTER)
    network.send(counter)
    assert code_of(network.machine, counter.address) == COUNTER
    assert storage_of(network.machine, counter.address, 0) == word(1)
    assert network.nonce(counter) == 1


def test_evm_contract_and_actor_delegate_to_each_other(postfix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    execute = postfix.PostfixEngine.execute

    def delegating(*operands: Any) -> Any:
        step = execute(*operands)
        return replace(step, kind=CallKind.DELEGATECALL) if isinstance(step, CallInputs) else step

    with Network() as network:
        counter = create(network, COUNTER)
        evm = deploy(network, "32 0 0 0 0 CALLDATALOAD GAS DELEGATECALL POP 32 0 RETURN")
        network.send(evm, 0, word(network.address(counter)))
        assert [storage_of(network.machine, to, 0) for to in (Address.delegated(10, evm), counter.address)] == [
            word(1), word(0),
        ]  # fmt: skip
        monkeypatch.setattr(postfix.PostfixEngine, "execute", delegating)
        adds = deploy(network, "0 CALLDATALOAD 3 SSTORE ADDRESS 0 MSTORE 32 0 RETURN")
        actor = create(network, DELEGATES)
        assert network.call(actor, bytes(4) + word(adds)) == word(network.address(actor))
        network.send(actor, 0, bytes(4) + word(adds))
        assert storage_of(network.machine, actor.address, 3) == word(5)


def test_bytecode_with_the_format_of_another_runtime_stays_bytecode(network: Network) -> None:
    """0x50 is POP, which halts the empty stack; the runtime does not know the word."""
    made = network.send(None, 0, deployer(b"POSTFIX frobnicate")).contract_address
    assert made is not None
    calls = "0 0 0 0 0 0 CALLDATALOAD GAS CALL"
    delegates = "0 0 0 0 0 CALLDATALOAD GAS DELEGATECALL"
    for code in (calls, delegates):
        assert network.call(deploy(network, f"{code} 7 ADD 0 MSTORE 32 0 RETURN"), word(made)) == word(7)


def test_actor_survives_reopening_of_the_folder(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        counter = create(network, COUNTER).address
        network.send(counter)
    registry.installed_formats.cache_clear()
    with Network(tmp_path / "chain") as network:
        network.machine.prepare()
        snapshot = network.snapshot()
        network.send(counter)
        assert network.call(counter) == word(3)
        assert network.revert(snapshot)
        assert network.call(counter) == word(2)
        assert [name for name in network.machine.registry.names().values() if name != "evm"] == ["postfix"]


def test_invalid_code_is_refused_with_the_runtimes_reason() -> None:
    with Network() as network, pytest.raises(InvalidModule, match="the word 'jump' is not a number"):
        network.actors.install(b"POSTFIX 1 jump")


def test_code_without_its_runtime_is_refused_with_the_group_that_registers_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Network(tmp_path / "chain") as network:
        counter = create(network, COUNTER).address
    monkeypatch.setattr(registry, "entry_points_of", lambda group: EntryPoints())
    registry.installed_formats.cache_clear()
    with Network(tmp_path / "chain") as network, pytest.raises(CallFailed) as failed:
        network.call(counter)
    assert "cannot be run: not a WASM module: the first eight bytes are b'POSTFIX '" in str(failed.value)
    assert "package that registers its runtime under 'hypervisor.runtimes'" in str(failed.value)


def test_no_actor_is_given_the_code_of_contracts_later(network: Network) -> None:
    """A contract of builtin-actors has no `upgrade`, so upgrade_actor of ref-fvm fails with such code, too."""
    counter, code = create(network, COUNTER), network.actors.install(REVERTS)
    for actor in (counter.address, Address.id(2)):
        with pytest.raises(
            InvalidInput, match=f"the code of contracts, .*: {actor} cannot be given it; create another"
        ):
            network.actors.replace(actor, code)
    network.send(counter)
    assert network.call(counter) == word(2)


def test_state_of_another_form_is_an_error_of_queries_and_native_to_contracts(network: Network) -> None:
    counter, tree = create(network, COUNTER), network.machine.state_tree
    state = network.machine.actor(counter.address)
    assert state is not None
    tree.set_actor(counter.id, replace(state, head=put_object(tree.store, [1, 2])))
    network.chain.keep_changes()
    for query in (code_of, partial(storage_of, slot=0)):
        with pytest.raises(InvalidInput, match=r"the state bafy\w+ of an actor is not that of a contract: .* 6 fields"):
            query(network.machine, counter.address)
    looks = deploy(network, "0 CALLDATALOAD EXTCODESIZE 0 MSTORE 32 0 RETURN")
    if network.rules.name == "ethereum":
        assert network.call(looks, word(network.address(counter))) == word(1)
    else:  # GetBytecode of the official EVM actor exits with 16
        with pytest.raises(CallFailed, match=r"USR_ILLEGAL_ARGUMENT.*the contract's state is invalid"):
            network.call(looks, word(network.address(counter)))


def test_code_that_a_node_does_not_return_is_an_error_but_not_of_the_explorers_lists(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = create(network, COUNTER)
    receipt = network.send(counter)
    store, (code,) = network.machine.store, network.machine.installed
    network.machine.registry._names.pop(code)
    get = store.get

    def unavailable(cid: Cid) -> bytes:
        if cid == code:
            raise RemoteUnavailable("the node does not respond")
        return get(cid)

    monkeypatch.setattr(store, "get", unavailable)
    for query in (code_of, partial(storage_of, slot=0)):
        with pytest.raises(RemoteUnavailable):
            query(network.machine, counter.address)
    node = Node(network)
    try:
        page = Visitor(node)(f"/epoch/{receipt.block_number}")
        assert (page.status, f"/tx/0x{receipt.hash.hex()}" in page.links) == (200, True)
    finally:
        node.close()


def test_trace_and_errors_show_a_contract(network: Network) -> None:
    counter, reverts = create(network, COUNTER), create(network, REVERTS)
    network.add_interface(ABI, "Counter", counter)
    receipt = network.send(counter, 0, keccak(b"bump()")[:4])
    (call,) = network.trace(receipt.hash).calls
    assert (call["runtime"], call["actor"], call["abi"]) == ("postfix", "actor", True)
    shown = str(network.trace(receipt.hash))
    assert "Counter bump()" in shown
    assert "-> 1" in shown
    with pytest.raises(CallFailed, match="revert"):
        network.call(reverts)
    with pytest.raises(TransactionFailed) as failed:
        network.send(reverts, gas_limit=10_000_000)
    trace = network.trace(failed.value.receipt.hash)
    assert "reverted" in trace.failure_path[0].lower()


def test_comparison_names_a_contracts_method() -> None:
    trees = CallTrees()
    with Network() as network:
        of_transaction(network, network.send(create(network, COUNTER)).hash).run(trees)
        names = CallNames(network.machine.manifest)
    (call,) = trees.roots
    assert (names.is_native(call), names.method(call).rpartition(".")[2]) == (False, "InvokeEVM")


def test_explorer_shows_code_slots_and_functions() -> None:
    with Network() as network:
        counter = create(network, COUNTER)
        network.add_interface(ABI, "Counter", counter)
        network.send(counter, 0, keccak(b"bump()")[:4])
        node = Node(network)
        visit = Visitor(node)
        try:
            page, forms = visit(f"/actor/{counter.address}"), visit(f"/actor/{counter.address}/call")
            assert {"bytecode", "its slots", "bump"} <= {text.strip() for text in page.words}
            assert "bump" in forms.text
            assert visit(f"/actor/{counter.address}/state/contract_state").status == 200
        finally:
            node.close()


def test_debugger_steps_through_a_program() -> None:
    with Network() as network:
        counter = create(network, COUNTER)
        session = Session(of_transaction(network, network.send(counter, 0, b"\1\2\3\4").hash), SourceLines([]))
        try:
            state, seen = session.start(), []
            while isinstance(state, Stop):
                step = session.instruction(session.listener.calls[-1])
                if step is not None:
                    seen.append((step.pc, step.name, step.stack))
                    assert views.calldata(session, 0) == b"\1\2\3\4"
                    assert views.frame(session, 0).where in (f"pc {step.pc} {step.name}", "ends: exit 0 OK, success")
                    assert views.frame(session, 0).title.startswith("postfix f0")
                state = session.step(by_instruction=True)
        finally:
            session.close()
    assert list(dict.fromkeys(seen))[:4] == [(0, "0", ()), (1, "load", (0,)), (2, "1", (0,)), (3, "+", (0, 1))]


def test_gas_is_charged_until_none_is_left(network: Network) -> None:
    actor = create(network, b"POSTFIX" + b" 1 2 +" * 50_000 + b" return")
    with pytest.raises(TransactionFailed) as failed:
        network.send(actor, gas_limit=21_000 if network.rules.name == "ethereum" else 200_000_000)
    assert "out of gas" in str(failed.value).lower()
