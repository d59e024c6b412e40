"""Contracts created from PolkaVM blobs by the address manager, CREATE and CREATE2, with the feature code-formats."""

from collections.abc import Iterator

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor import Address
from hypervisor.machine.machine_state import MachineState
from hypervisor.versions.features import with_features
from localnet import CallFailed, Network, TransactionFailed
from localnet.state.controls import code_of
from riscv_tests.contracts import call, create, deploy, forms, with_data, word
from store.cid import Cid
from store.keccak import keccak

CHILD = forms("Child").riscv


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(overlay=with_features(["code-formats"])) as network:
        network.actors.install(CHILD)
        yield network


def deploy_blob(network: Network, name: str, arguments: bytes = b"", value: int = 0) -> EthAddress:
    address = network.send(None, value, forms(name).riscv + arguments).contract_address
    assert address is not None
    return address


def test_creation_runs_the_constructor_with_the_arguments_after_the_blob(network: Network) -> None:
    child = deploy_blob(network, "Child", word(6), value=7)
    assert network.call(child, call("times(uint256)", 7)) == word(42)
    assert network.call(child, call("maker()")) == word(network.accounts[0].address)
    assert int(network.balance(child)) == 7


def test_immutable_values_follow_the_blob_in_the_code(network: Network) -> None:
    child = deploy_blob(network, "Child", word(6))
    code = code_of(network.machine, Address.delegated(10, child))
    assert code[: len(CHILD)] == CHILD
    assert len(code) == len(CHILD) + 64
    evm, riscv = deploy(network, "Caller"), deploy_blob(network, "Caller")
    for caller in (evm, riscv):  # a contract that borrows code gets the immutable values of that code
        borrowed = network.call(caller, with_data("lend(address,bytes)", child, data=call("times(uint256)", 7)))
        assert borrowed[-32:] == word(42)


def test_failed_constructor_reverts_with_its_reason(network: Network) -> None:
    with pytest.raises(CallFailed, match="unlucky"):
        network.send(None, 0, CHILD + word(13))


@pytest.mark.parametrize("form", ["evm", "riscv"])
def test_contract_creates_contracts(network: Network, form: str) -> None:
    caller = deploy(network, "Caller") if form == "evm" else deploy_blob(network, "Caller")
    network.send(caller, 5, call("make(uint256)", 6))
    child = EthAddress(network.call(caller, call("child()"))[12:])
    assert network.call(child, call("maker()")) == word(caller)
    assert int(network.balance(child)) == 5
    network.send(caller, 0, call("make2(uint256,bytes32)", 8, 9))
    init_code = forms("Child").evm if form == "evm" else CHILD
    expected = keccak(b"\xff" + caller + word(9) + keccak(init_code + word(8)))[12:]
    assert network.call(caller, call("child()")) == word(expected)
    assert network.call(caller, call("tryMake(uint256)", 13))[64:] == (
        b"\x08\xc3\x79\xa0" + word(32) + word(7) + b"unlucky".ljust(32 + 28, b"\0")
    )


def test_creation_of_a_blob_that_is_not_installed_fails(network: Network) -> None:
    with Network(overlay=with_features(["code-formats"])) as other:
        caller = deploy_blob(other, "Caller")
        with pytest.raises(CallFailed):
            other.call(caller, call("make(uint256)", 6))


def test_creation_reads_only_the_code_that_it_names(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = deploy_blob(network, "Caller")
    read: list[Cid] = []
    for name in ("Counter", "Leaf"):
        network.actors.install(forms(name).riscv)
    network.call(caller, call("make(uint256)", 6))
    found = MachineState.installed_module

    def installed_module(machine: MachineState, code: Cid) -> bytes | None:
        read.append(code)
        return found(machine, code)

    monkeypatch.setattr(MachineState, "installed_module", installed_module)
    network.call(caller, call("make(uint256)", 6))
    assert len(read) == 1


def test_code_may_be_longer_than_bytecode(network: Network) -> None:
    filler = forms("Caller").riscv
    assert len(filler) > 24_000
    blob = _padded(filler, 38_000)
    caller = network.send(None, 0, blob).contract_address
    assert caller is not None
    assert network.call(caller, call("pass(uint256)", 1)) == word(2)


def _padded(blob: bytes, size: int) -> bytes:
    """Return a blob with an optional section of zeros before its end, and its new length."""
    body = blob[:-1]  # the last section's number is 0
    head = b"\xb0" + (0xC0 | size >> 16).to_bytes(1, "big") + (size & 0xFFFF).to_bytes(2, "little")
    whole = body + head + bytes(size) + b"\0"
    return whole[:5] + len(whole).to_bytes(8, "little") + whole[13:]


def test_invalid_blob_is_refused_with_the_broken_rule(network: Network) -> None:
    with pytest.raises(CallFailed, match="not a valid blob"):
        network.send(None, 0, CHILD[:200] + b"\xff" * 40 + CHILD[240:])


def test_creation_under_ethereums_rules_is_refused_with_the_reason() -> None:
    with Network(rules="ethereum") as network, pytest.raises(CallFailed, match="format of the runtime 'riscv'"):
        network.send(None, 0, CHILD + word(6))


def test_trace_of_a_creation_without_the_feature_has_the_reason() -> None:
    with Network() as network:
        with pytest.raises(TransactionFailed) as failed:
            network.send(None, 0, CHILD + word(6), gas_limit=20_000_000)
        assert "format of the runtime 'riscv'" in str(network.trace(failed.value.receipt.hash))


def test_actor_by_code_and_contract_are_equal_beside_each_other(network: Network) -> None:
    actor, contract = create(network, "Counter"), deploy_blob(network, "Counter")
    for to in (actor, contract):
        network.send(to, 0, call("bump(uint256)", 3))
        assert network.call(to, call("count()")) == word(3)


def test_contract_survives_reopening_of_the_folder(tmp_path: object) -> None:
    overlay = with_features(["code-formats"])
    with Network(str(tmp_path), overlay=overlay) as network:
        counter = deploy_blob(network, "Counter")
    with Network(str(tmp_path), overlay=overlay) as network:
        network.send(counter, 0, call("bump(uint256)", 3))
        assert network.call(counter, call("count()")) == word(3)
