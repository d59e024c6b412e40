"""A contract on one network pays what a vault on another has locked, after certificates have shown the event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.conftest import actor_id
from hypervisor_tools.laboratory.proofs.f3 import Certificate, Committee, Tipset, power_table_cid
from hypervisor_tools.laboratory.proofs.precompiles import event_proof
from localnet import CallFailed, Contract, Network
from store.cid import cid_of

HERE = Path(__file__).parent
FIL = 10**18
FIRST_INSTANCE = 100
RECEIVER = "0x" + "5e" * 20


class Finality:
    """The source network's finality: a committee certifies its head."""

    def __init__(self, source: Network) -> None:
        self._source = source
        self.committee = Committee("source")
        self.instance = FIRST_INSTANCE
        self._head: Tipset = self.committee.tipset(0, [cid_of(b"the tipset that was finalized before")])

    @property
    def digest(self) -> bytes:
        return power_table_cid(self.committee.table)[-32:]

    def certificate(self, signers: tuple[int, ...] | None = None) -> Certificate:
        """Finalize the head of the chain."""
        head = self._source.chain.head
        tipset = self.committee.tipset(head.height, [head.block])
        made = self.committee.certify(self.instance, [self._head, tipset], signers)
        self.instance += 1
        self._head = tipset
        return made

    def proof(self, *certificates: Certificate, event: int = 0) -> bytes:
        """Return the proof of an event of the first message before the head."""
        store, head = self._source.machine.store, self._source.chain.head
        return event_proof(self.committee.table, certificates, store, head.block, 0, event)


@pytest.fixture
def finality(network: Network) -> Finality:
    return Finality(network)


@pytest.fixture
def vault(network: Network) -> Contract:
    return network.deploy(HERE / "Vault.json")


@dataclass(frozen=True, slots=True)
class Destination:
    """The other network, with the contract that pays."""

    network: Network
    payout: Contract

    def claim(self, instance: int, proof: bytes) -> None:
        self.payout.send("claim", instance, proof)

    def refusal(self, instance: int, proof: bytes) -> str:
        """Return the error of a claim that must fail."""
        with pytest.raises(CallFailed) as failed:
            self.claim(instance, proof)
        return self.payout.reason(failed.value.data)

    def paid(self) -> int:
        return self.network.balance(RECEIVER)


@pytest.fixture
def destination(network: Network, vault: Contract, finality: Finality) -> Iterator[Destination]:
    """The destination, whose contract holds 10 FIL."""
    with Network(precompiles=["f3_event"]) as other:
        arguments = ("source", actor_id(network, vault), FIRST_INSTANCE, finality.digest)
        yield Destination(other, other.deploy(HERE / "Payout.json", *arguments, value=10 * FIL))


def lock(network: Network, vault: Contract, amount: int) -> None:
    vault.send("lock", RECEIVER, value=amount)
    network.mine(1)  # the next header has the receipts


@pytest.mark.slow
def test_locked_amount_is_paid_once(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, vault, 3 * FIL)
    proof = finality.proof(finality.certificate())
    destination.claim(FIRST_INSTANCE, proof)
    assert destination.paid() == 3 * FIL
    assert destination.refusal(FIRST_INSTANCE, proof) == "AlreadyPaid()"
    assert destination.paid() == 3 * FIL


@pytest.mark.slow
def test_next_claim_starts_at_the_next_table(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, vault, FIL)
    first = finality.certificate()
    destination.claim(FIRST_INSTANCE, finality.proof(first))
    lock(network, vault, 2 * FIL)
    second = finality.certificate()
    proof = finality.proof(second)
    assert destination.refusal(FIRST_INSTANCE + 2, proof) == f"UnknownInstance({FIRST_INSTANCE + 2})"
    assert destination.refusal(FIRST_INSTANCE, proof) == "NotProven()"
    destination.claim(FIRST_INSTANCE + 1, proof)
    assert destination.refusal(FIRST_INSTANCE, finality.proof(first, second)) == "AlreadyPaid()"
    assert destination.paid() == 3 * FIL


def test_old_power_table_is_refused(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, vault, FIL)
    proof = finality.proof(finality.certificate())
    newest = FIRST_INSTANCE + 2881
    destination.network.set_storage(destination.payout.address, {1: newest})  # as if claims had gone on
    assert destination.refusal(FIRST_INSTANCE, proof) == f"OldInstance({FIRST_INSTANCE}, {newest})"
    destination.network.set_storage(destination.payout.address, {1: newest - 1})
    destination.claim(FIRST_INSTANCE, proof)


def test_certificate_of_half_the_power_is_refused(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, vault, FIL)
    proof = finality.proof(finality.certificate(signers=(0, 1)))
    assert destination.refusal(FIRST_INSTANCE, proof) == "NotProven()"


@pytest.mark.slow
def test_altered_proof_is_refused(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, vault, FIL)
    proof = finality.proof(finality.certificate())
    for at in range(5, len(proof), 97):
        altered = proof[:at] + bytes((proof[at] ^ 1,)) + proof[at + 1 :]
        assert destination.refusal(FIRST_INSTANCE, altered) == "NotProven()"
    assert destination.paid() == 0


@pytest.mark.slow
def test_event_of_another_contract_is_refused(
    network: Network, vault: Contract, destination: Destination, finality: Finality
) -> None:
    lock(network, network.deploy(HERE / "Vault.json"), FIL)
    assert destination.refusal(FIRST_INSTANCE, finality.proof(finality.certificate())) == "OtherEvent()"
