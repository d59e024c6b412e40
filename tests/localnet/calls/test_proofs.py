"""Account and storage proofs, verified with only the state root."""

from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, decode_bigint
from localnet import Network
from localnet.calls.proofs import Proof, prove_account
from store.cid import cid_of, split_cid
from store.codec import decode, unlink
from store.trees.paths import PathAbsent, ProofError, verify
from tests.localnet.conftest import ARTIFACTS

COUNTER = ARTIFACTS / "Counter.json"


def checked(root: Any, proof: Proof) -> Any:
    """Return the value that a proof shows for a root."""
    return verify(root, proof.path, [(cid_of(data), data) for data in proof.blocks])


def test_an_accounts_proof_shows_its_tuple(either: Network) -> None:
    account = either.accounts[2]
    found = prove_account(either.machine, account.delegated, [])
    _, _, nonce, balance, delegated = checked(either.machine.root, found.proof)
    assert (nonce, decode_bigint(balance)) == (found.nonce, found.balance) == (0, either.balance(account))
    assert Address.from_bytes(delegated) == account.delegated
    assert found.root == either.machine.root


def test_slot_proof_shows_value_or_absence(either: Network) -> None:
    counter = either.deploy(COUNTER)
    counter.send("increment")
    found = prove_account(either.machine, to_filecoin(counter.address), [0, 9])
    one, none = found.slots
    assert (one.value, none.value) == ((1).to_bytes(32, "big"), bytes(32))
    assert checked(found.root, one.proof) == b"\x01"
    with pytest.raises(PathAbsent):
        checked(found.root, none.proof)
    _, code_hash, slots, *_ = decode(one.proof.blocks[-2])
    assert (code_hash, split_cid(unlink(slots)).digest) == (found.code_hash, found.storage)


@pytest.mark.parametrize("address", [to_filecoin(EthAddress(bytes([9] * 20))), Address.id(ActorID(12345678))])
def test_proof_shows_account_absence(network: Network, address: Address) -> None:
    found = prove_account(network.machine, address, [1])
    assert (found.balance, found.nonce, found.code_hash, found.slots[0].value) == (0, 0, bytes(32), bytes(32))
    with pytest.raises(PathAbsent):
        checked(found.root, found.proof)


def test_absence_of_actor_behind_resolved_id_is_proved(network: Network) -> None:
    address = to_filecoin(EthAddress(bytes([9] * 20)))
    number = network.machine.state_tree.register_address(address)
    found = prove_account(network.machine, address, [])
    assert str(found.proof.path) == str(prove_account(network.machine, Address.id(number), []).proof.path)
    with pytest.raises(PathAbsent):
        checked(network.machine.root, found.proof)


def test_proof_with_changed_or_missing_block_is_rejected(network: Network) -> None:
    found = prove_account(network.machine, network.accounts[0].delegated, [])
    *most, last = found.proof.blocks
    for blocks in ((*most, last[:-1] + b"\x07"), tuple(most)):
        with pytest.raises(ProofError):
            checked(found.root, Proof(found.proof.path, blocks))
