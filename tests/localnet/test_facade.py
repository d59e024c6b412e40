"""Networks with Solidity interfaces of built-in actors, and calls of actors by their bindings."""

from pathlib import Path

import pytest

from bridge.abi.abi import ContractInterface
from bridge.bindings import datacap, init, multisig, storageminer
from bridge.ethereum.addresses import masked_id
from fvm_hypervisor.bindings.actors.solidity import abi
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.types import DATACAP_ACTOR, INIT_ACTOR, REWARD_ACTOR, ActorID
from localnet import CallFailed, Network, TransactionFailed

TYPED = Path(__file__).parents[1] / "integration" / "facade" / "compiled" / "Typed.json"
DATACAP = Address.id(DATACAP_ACTOR)


@pytest.fixture
def facade_network() -> Network:
    return Network(facade=True)


def wallet(network: Network, *signers: Address) -> ActorID:
    """Create a multisig of two."""
    params = multisig.ConstructorParams(signers, 2, network.block_number, network.block_number).encode()
    code = network.machine.manifest.code("multisig")
    created = network.invoke(Address.id(INIT_ACTOR), init.exec(code, params), value=10**9)
    actor = created.id_address.actor_id()
    assert actor is not None
    return actor


def test_contracts_call_actors_where_the_facade_is_on(facade_network: Network) -> None:
    assert facade_network.deploy(TYPED).call("token") == ("DataCap", "DCAP", 0, 10**18)
    miner = facade_network.create_miner(sectors=1)
    _, proposed, size, power = facade_network.deploy(TYPED).call("miner", miner.id)
    assert (proposed, size, power) == (0, 2048, 2048)


def test_contracts_cannot_call_actors_without_facade() -> None:
    with Network() as network, pytest.raises(CallFailed):
        network.deploy(TYPED).call("token")


def test_an_ethereum_transaction_is_a_signer_s_approval(facade_network: Network) -> None:
    me, other = facade_network.accounts[0], facade_network.accounts[1]
    actor = wallet(facade_network, me.delegated, other.native)
    interface = ContractInterface(abi("multisig"))
    proposal = multisig.propose(facade_network.accounts[2].native, 7, 0, b"")
    facade_network.send_native(masked_id(actor), 0, value=10)
    assert facade_network.invoke(Address.id(actor), proposal, sender=other) == multisig.ProposeReturn(0, False, 0, b"")
    before = facade_network.balance(facade_network.accounts[2].native)
    receipt = facade_network.send(masked_id(actor), data=interface.encode_call("approve", 0, b""))
    assert facade_network.balance(facade_network.accounts[2].native) == before + 7
    assert receipt.succeeded
    with pytest.raises(CallFailed) as refused:  # nothing waits for an approval any more
        facade_network.send(masked_id(actor), data=interface.encode_call("approve", 0, b""))
    words = interface.decode_revert(refused.value.data)
    assert words == f"ActorError({actor}, 3, {int(ExitCode.USR_NOT_FOUND)}, 0x)"


def test_the_streams_of_the_reward_actor_have_an_interface() -> None:
    with Network(facade=True, network=29) as network:
        interface, f02 = ContractInterface(abi("reward")), masked_id(REWARD_ACTOR)
        mine = (network.accounts[0].native.to_bytes(),)
        unknown = network.call(f02, interface.encode_call("claim", 7, [mine, mine]))
        assert interface.decode_result("claim", unknown) == (0, 0)  # no such stream: nothing for either
        with pytest.raises(CallFailed) as refused:
            network.call(f02, interface.encode_call("claim", 1, [mine]))  # the miners' stream
        words = interface.decode_revert(refused.value.data)
        assert words == f"ActorError(2, 4045527845, {int(ExitCode.USR_ILLEGAL_ARGUMENT)}, 0x)"


def test_a_binding_s_answer_is_typed_and_its_failure_an_error(facade_network: Network) -> None:
    assert facade_network.ask(DATACAP, datacap.name()) == "DataCap"
    assert facade_network.invoke(DATACAP, datacap.balance(facade_network.accounts[0].native)) == 0
    miner = facade_network.create_miner(sectors=0)
    assert facade_network.ask(miner.address, storageminer.get_owner()).proposed is None
    with pytest.raises(CallFailed) as refused:
        facade_network.ask(DATACAP, datacap.burn(10**18))
    assert refused.value.exit_code == ExitCode.USR_FORBIDDEN  # frozen: FIP-0118
    with pytest.raises(TransactionFailed):
        facade_network.invoke(DATACAP, datacap.burn(10**18))


def test_trace_shows_decoded_call_and_failure_reason() -> None:
    network = Network(network=28, facade=True)  # later ones allow no operator of DataCap
    typed = network.deploy(TYPED)
    told = str(network.trace(typed.send("allow", "0x" + masked_id(100).hex(), 10**18).hash))
    assert "datacap increaseAllowance(operator=[0x0064], amount=1000000000000000000)" in told
    actor = wallet(network, network.accounts[1].delegated, network.accounts[2].delegated)
    told = str(network.trace(typed.send("approve", actor, 0).hash))
    assert "multisig approve(id=0, proposalHash=)" in told
    assert f"ActorError({actor}, 3, 18, 0x)" in told
