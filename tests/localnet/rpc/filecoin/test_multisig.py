"""Filecoin's methods about multisigs, on our own actors and the official ones."""

from base64 import b64encode
from typing import Any

import pytest

from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR, encode_bigint
from localnet import Network
from localnet.rpc.node import Node
from store.codec import decode, encode, link
from tests.localnet.rpc.conftest import Client, Failed, refusal

PROPOSE, APPROVE = 2, 3
FUNDS = 10_000


def lotus(rpc: Client, method: str, *params: Any) -> Any:
    return rpc(f"Filecoin.{method}", *params)


@pytest.fixture
def rpc(either: Network) -> Client:
    return Client(Node(either))


def multisig(network: Network, unlock_duration: int = 0, start: int = 0) -> Address:
    """Create a funded multisig of the first two accounts, both of which have to approve."""
    signers = [account.native.to_bytes() for account in network.accounts[:2]]
    constructor = encode([signers, 2, unlock_duration, start])
    params = encode([link(network.machine.manifest.code("multisig")), constructor])
    receipt = network.send_native(Address.id(INIT_ACTOR), 2, params, value=FUNDS)
    return Address.from_bytes(decode(receipt.return_data)[0])


def proposal(network: Network, value: int = 5) -> bytes:
    return encode([network.accounts[2].native.to_bytes(), encode_bigint(value), 0, b""])


def test_msig_get_pending_lists_unapproved_proposals(rpc: Client) -> None:
    network = rpc.node.network
    shared = multisig(network)
    assert lotus(rpc, "MsigGetPending", str(shared), None) == []
    for value in (5, 6):
        network.send_native(shared, PROPOSE, proposal(network, value))
    first, second = lotus(rpc, "MsigGetPending", str(shared), None)
    assert (first["ID"], second["ID"]) == (0, 1)
    signer = lotus(rpc, "StateLookupID", str(network.accounts[0].native), None)
    assert first == {
        "ID": 0, "To": f"t{str(network.accounts[2].native)[1:]}", "Value": "5", "Method": 0, "Params": None,
        "Approved": [signer],
    }  # fmt: skip
    network.send_native(shared, APPROVE, encode([0, b""]), sender=network.accounts[1])
    assert [waiting["ID"] for waiting in lotus(rpc, "MsigGetPending", str(shared), None)] == [1]


@pytest.mark.slow
def test_locked_funds_vest_by_epoch(rpc: Client) -> None:
    network = rpc.node.network
    start = network.block_number + 1
    shared = str(multisig(network, unlock_duration=100, start=start))
    schedule = lotus(rpc, "MsigGetVestingSchedule", shared, None)
    assert schedule == {"InitialBalance": str(FUNDS), "StartEpoch": start, "UnlockDuration": 100}
    network.mine(null_rounds=start + 30 - network.block_number - 1)
    # builtin-actors multisig: the locked part is rounded up.
    assert lotus(rpc, "MsigGetAvailableBalance", shared, None) == str(FUNDS * 30 // 100)
    first = lotus(rpc, "ChainGetTipSetByHeight", start, None)["Cids"]
    # lotus node/impl/full/state.go: the difference of the locked amounts
    assert lotus(rpc, "MsigGetVested", shared, first, None) == str(FUNDS * 30 // 100)
    assert lotus(rpc, "MsigGetVested", shared, None, None) == "0"
    with pytest.raises(Failed, match=r"start tipset \d+ is after end tipset"):
        lotus(rpc, "MsigGetVested", shared, None, first)
    network.mine(null_rounds=100)
    assert lotus(rpc, "MsigGetAvailableBalance", shared, None) == str(FUNDS)


APPROVAL = {"ID": 3, "ProposalHash": "AQ=="}


def test_parameters_are_encoded_and_decoded(rpc: Client) -> None:
    """As Lotus 1.36.1 does."""
    shared = str(multisig(rpc.node.network))
    code = lotus(rpc, "StateGetActor", shared, None)["Code"]
    params = b64encode(encode([3, b"\x01"])).decode()
    assert lotus(rpc, "StateEncodeParams", code, APPROVE, APPROVAL) == params
    assert lotus(rpc, "StateDecodeParams", shared, APPROVE, params, None) == APPROVAL
    assert lotus(rpc, "StateDecodeParams", shared, 0, "", None) == {}
    assert lotus(rpc, "StateDecodeParams", "f04", 9, "", None) == {}


def test_return_values_are_decoded_by_go_types(rpc: Client) -> None:
    """Source: multisig.ProposeReturn of go-state-types; lotus node/impl/full/state.go `StateWaitMsg`."""
    network = rpc.node.network
    shared, sender = str(multisig(network)), str(network.accounts[0].native)
    sent = {"From": sender, "To": shared, "Method": PROPOSE, "Params": b64encode(proposal(network)).decode()}
    for message, expected in (
        (sent, {"TxnID": 0, "Applied": False, "Code": 0, "Ret": None}),
        ({"From": sender, "To": sender}, None),
        (sent | {"Method": APPROVE}, None),  # fails
    ):
        pushed = lotus(rpc, "MpoolPushMessage", message | {"Value": "0", "GasLimit": 10_000_000}, None)
        assert lotus(rpc, "StateWaitMsg", pushed["CID"], 0, -1, True)["ReturnDec"] == expected


def test_parameters_that_do_not_fit_are_refused(rpc: Client) -> None:
    code = rpc("Filecoin.StateGetActor", "f04", None)["Code"]
    for name, params, reason in (
        ("StateEncodeParams", (code, 99, {}), "the storagepower actor has no method 99"),
        ("StateEncodeParams", (code, 9, {}), "invalid parameters of CurrentTotalPower: there are no parameters"),
        ("StateEncodeParams", (code, 2, {"Owner": 5}), "invalid parameters of CreateMiner: Owner: "),
        ("StateDecodeParams", ("f04", 99, "", None), "method 99 of t04 is unknown"),
        ("StateDecodeParams", ("f04", 2, "gA==", None), "invalid parameters of CreateMiner: expected the 5 fields"),
    ):
        with refusal(1, reason):
            lotus(rpc, name, *params)


def test_msig_methods_reject_non_multisig_actor(rpc: Client) -> None:
    for method in ("MsigGetPending", "MsigGetAvailableBalance", "MsigGetVestingSchedule"):
        with refusal(1, "is not a multisig"):
            lotus(rpc, method, "f01", None)


def test_batch_push_sends_several_messages(rpc: Client) -> None:
    network = rpc.node.network
    message = {"To": str(network.accounts[1].native), "From": str(network.accounts[0].native), "Value": "1"}
    first, second = lotus(rpc, "MpoolBatchPushMessage", [message, message], None)
    assert second["Message"]["Nonce"] == first["Message"]["Nonce"] + 1
    assert lotus(rpc, "StateSearchMsg", second["CID"])["Receipt"]["ExitCode"] == 0
