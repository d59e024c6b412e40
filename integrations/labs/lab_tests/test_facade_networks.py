"""Networks with the lab `facade`: contracts, wallets, traces and profiles of calls to built-in actors."""

from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from bridge.abi.abi import ContractInterface
from bridge.bindings import multisig
from bridge.ethereum.addresses import masked_id
from hypervisor import Address
from hypervisor.exit_codes import ExitCode
from hypervisor.types import REWARD_ACTOR
from localnet import CallFailed, Network
from localnet.rpc.server.server import serving
from scripts.actor_bindings.solidity import abi
from tests.localnet.test_network import wallet

TYPED = Path(__file__).parent / "facade" / "compiled" / "Typed.json"
RULES = "lab:facade"


@pytest.fixture
def facade_network() -> Network:
    return Network(rules=RULES)


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
    with Network(rules=RULES, network=29) as network:
        interface, f02 = ContractInterface(abi("reward")), masked_id(REWARD_ACTOR)
        mine = (network.accounts[0].native.to_bytes(),)
        unknown = network.call(f02, interface.encode_call("claim", 7, [mine, mine]))
        assert interface.decode_result("claim", unknown) == (0, 0)  # no such stream: nothing for either
        with pytest.raises(CallFailed) as refused:
            network.call(f02, interface.encode_call("claim", 1, [mine]))  # the miners' stream
        words = interface.decode_revert(refused.value.data)
        assert words == f"ActorError(2, 4045527845, {int(ExitCode.USR_ILLEGAL_ARGUMENT)}, 0x)"


def test_trace_shows_decoded_call_and_failure_reason() -> None:
    network = Network(rules=RULES, network=28)  # later ones allow no operator of DataCap
    typed = network.deploy(TYPED)
    told = str(network.trace(typed.send("allow", "0x" + masked_id(100).hex(), 10**18).hash))
    assert "datacap increaseAllowance(operator=[0x0064], amount=1000000000000000000)" in told
    actor = wallet(network, network.accounts[1].delegated, network.accounts[2].delegated)
    told = str(network.trace(typed.send("approve", actor, 0).hash))
    assert "multisig approve(id=0, proposalHash=)" in told
    assert f"ActorError({actor}, 3, 18, 0x)" in told


@pytest.mark.slow
def test_eth_transaction_to_actor_is_profiled() -> None:
    with Network(rules=RULES) as network:
        actor = wallet(network, network.accounts[0].delegated, network.accounts[1].native)
        network.send_native(masked_id(actor), 0, value=10)
        proposal = multisig.propose(network.accounts[2].native, 7, 0, b"")
        network.invoke(Address.id(actor), proposal, sender=network.accounts[1])
        approval = ContractInterface(abi("multisig")).encode_call("approve", 0, b"")
        receipt = network.send(masked_id(actor), data=approval)
        assert receipt.succeeded
        assert network.trace(receipt.hash).reproduced
        profile = network.profile(receipt.hash)
    assert profile.reproduced
    assert [box.label for box in profile.boxes if "multisig" in box.label] == [f"f0{actor} multisig.Approve"]


def test_web3_reads_builtin_actor(facade_network: Network) -> None:
    datacap = Web3.to_checksum_address("0xff" + "00" * 18 + "07")
    with serving(facade_network) as url:
        token: Any = Web3(HTTPProvider(url)).eth.contract(address=datacap, abi=abi("datacap"))
        assert (token.functions.name().call(), token.functions.granularity().call()) == ("DataCap", 10**18)
