"""PolkaVM blobs as actors' code: calls across runtimes, state, events, and gas. Expected: solc's code on the EVM."""

from collections.abc import Iterator

import pytest

from bridge.bindings import init, multisig
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor import Address
from hypervisor.types import INIT_ACTOR
from localnet import CallFailed, Network, TransactionFailed
from localnet.state.controls import code_of, storage_of
from riscv_tests.contracts import call, create, deploy, forms, with_data, word
from store.keccak import keccak
from tests.runtimes.evm.assembler import assemble, deployer

BUMP = call("bump(uint256)", 5)


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param) as network:
        yield network


def test_state_and_events_equal_those_of_the_evm(network: Network) -> None:
    actor, contract = create(network, "Counter"), deploy(network, "Counter")
    ours, theirs = (network.send(to, 0, BUMP) for to in (actor, contract))
    assert [emitted.log for emitted in ours.logs] == [emitted.log for emitted in theirs.logs]
    assert ours.logs[0].log.data == word(5)
    slot = int.from_bytes(keccak(word(network.accounts[0].address) + word(1)), "big")
    for key in (0, slot):
        words = [storage_of(network.machine, to, key) for to in (actor.address, Address.delegated(10, contract))]
        assert words[0] == words[1] != bytes(32)


def test_revert_data_and_unknown_selectors_equal_those_of_the_evm(network: Network) -> None:
    actor, contract = create(network, "Counter"), deploy(network, "Counter")
    for data in (call("bump(uint256)", 101), call("nope()"), b"", b"\1", BUMP[:35]):
        errors = []
        for to in (actor, contract):
            with pytest.raises(CallFailed) as failed:
                network.call(to, data)
            errors.append(str(failed.value))
        assert errors[0] == errors[1]


def test_evm_contract_and_actor_call_each_other(network: Network) -> None:
    counter = create(network, "Counter")
    inner = with_data("call(address,uint256,bytes)", network.address(counter), 0, data=BUMP)
    evm, riscv = deploy(network, "Caller"), create(network, "Caller")
    nested = with_data("call(address,uint256,bytes)", evm, 0, data=inner)
    network.send(riscv, 0, nested)  # RISC-V to EVM to RISC-V
    assert network.call(counter, call("count()")) == word(5)
    assert network.call(counter, call("hits(address)", evm)) == word(1)


def test_wasm_actor_calls_an_actor(network: Network) -> None:
    counter, owner = create(network, "Counter"), network.accounts[0].native
    code = network.machine.manifest.code("multisig")
    made = network.invoke(
        Address.id(INIT_ACTOR), init.exec(code, multisig.constructor([owner], 1, 0, 0).params), value=10**18
    )
    proposed = network.invoke(made.id_address, multisig.propose(counter.address, 0, INVOKE_EVM, invoke_params(BUMP)))
    assert (proposed.applied, proposed.code, proposed.ret[-1]) == (True, 0, 5)
    assert network.call(counter, call("count()")) == word(5)


def test_static_call_cannot_write(network: Network) -> None:
    counter = create(network, "Counter")
    for caller in (deploy(network, "Caller"), create(network, "Caller")):
        write, read = (
            network.call(caller, with_data("look(address,bytes)", network.address(counter), data=data))
            for data in (BUMP, call("count()"))
        )
        assert (write[:32], read[:32]) == (word(0), word(1))


def test_transfer_gas_equals_solc(network: Network) -> None:
    """A receiver that calls back into the sender forty times needs more than the stipend, or its 10 M on Filecoin."""
    greedy = network.send(None, 0, deployer(assemble(40 * "0 0 0 0 0 CALLER GAS CALL POP "))).contract_address
    assert greedy is not None
    account = network.accounts[5].address
    for caller in (deploy(network, "Caller"), network.address(create(network, "Caller"))):
        network.call(caller, call("pay(address)", account), value=1)
        network.call(caller, with_data("call(address,uint256,bytes)", greedy, 1, data=b""), value=1)
        with pytest.raises(CallFailed):
            network.call(caller, call("pay(address)", greedy), value=1)


def test_contracts_see_the_blob_as_code(network: Network) -> None:
    counter, blob = create(network, "Counter"), forms("Counter").riscv
    assert code_of(network.machine, counter.address) == blob
    for caller in (deploy(network, "Caller"), create(network, "Caller")):
        seen = network.call(caller, call("code(address)", network.address(counter)))
        assert seen == word(len(blob)) + keccak(blob)


def test_constructor_gets_its_arguments_and_immutables_stay(network: Network) -> None:
    child = create(network, "Child", word(6))
    assert network.call(child, call("times(uint256)", 7)) == word(42)
    assert code_of(network.machine, child.address).startswith(forms("Child").riscv)


def test_context_equals_that_of_the_evm(network: Network) -> None:
    actor, contract = create(network, "Caller"), deploy(network, "Caller")
    calls = [call("past(uint256)", network.machine.context.epoch - 1), call("pass(uint256)", 4)]
    calls += [with_data("hashes(bytes)", data=b"abc" * 50), call("message()")]
    for data in calls:
        assert network.call(actor, data) == network.call(contract, data)
    ours, theirs = (network.call(to, call("block_()")) for to in (actor, contract))
    limit = slice(5 * 32, 6 * 32)  # that of Filecoin's blocks also under Ethereum's rules
    assert (ours[limit] == theirs[limit]) is (network.rules.name == "filecoin")
    assert ours[: limit.start] + ours[limit.stop :] == theirs[: limit.start] + theirs[limit.stop :]


def test_gas_is_charged_until_none_is_left(network: Network) -> None:
    counter, limit = create(network, "Counter"), 60_000 if network.rules.name == "ethereum" else 30_000_000
    with pytest.raises(TransactionFailed) as failed:
        network.send(counter, 0, call("spin(uint256)", 10**9), gas_limit=limit)
    assert "out of gas" in str(failed.value).lower()


def test_instruction_costs_55_gas() -> None:
    """The loop's length in instructions is that of resolc's disassembly: equal steps have equal prices."""
    with Network() as network:
        counter = create(network, "Counter")
        gas = [network.send(counter, 0, call("spin(uint256)", rounds)).gas_used for rounds in (1_000, 2_000, 3_000)]
        assert gas[2] - gas[1] == gas[1] - gas[0]
        assert (gas[1] - gas[0]) % (55 * 1_000) == 0


def test_actor_survives_reopening_of_the_folder(tmp_path: object) -> None:
    folder = str(tmp_path)
    with Network(folder) as network:
        counter = create(network, "Counter").address
        network.send(counter, 0, BUMP)
    with Network(folder) as network:
        network.send(counter, 0, BUMP)
        assert network.call(counter, call("count()")) == word(10)
