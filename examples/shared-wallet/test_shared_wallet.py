"""A wallet with a contract and a built-in multisig among its signers; and a multisig with a contract as signer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.bindings import init, multisig
from bridge.ethereum.addresses import checksummed
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params, unwrap_return
from examples.conftest import Refused, actor_id, masked
from hypervisor import Address
from hypervisor.types import INIT_ACTOR
from localnet import Account, Artifact, CallFailed, Contract, Miner, Network
from store.blockstore import get_object

HERE = Path(__file__).parent
WALLET = HERE / "SharedWallet.json"
PASSES_CALLS = HERE.parent / "solidity" / "artifacts" / "Bridge.json"
FIL = 10**18
LIMIT, PERIOD = 10 * FIL, 200


def create_multisig(network: Network, signers: list[Address], threshold: int) -> Address:
    """Create a built-in multisig from the first account."""
    constructor = multisig.constructor(signers, threshold, 0, 0).params
    made = network.invoke(Address.id(INIT_ACTOR), init.exec(network.machine.manifest.code("multisig"), constructor))
    return made.id_address


@dataclass
class Scene:
    """A two-of-three wallet; `partnership` is the multisig of `partners`."""

    network: Network
    wallet: Contract
    person: Account
    limiter: Contract
    partnership: Address
    partners: tuple[Account, Account]

    def vote_by_multisig(self, payment: int) -> multisig.ApproveReturn:
        """Approve a payment by the multisig of the partners; return the result of the second partner's approval."""
        calldata = invoke_params(self.wallet.interface.encode_call("approve", payment))
        first, second = self.partners
        wallet = Address.delegated(10, self.wallet.address)
        made = self.network.invoke(self.partnership, multisig.propose(wallet, 0, INVOKE_EVM, calldata), sender=first)
        return self.network.invoke(self.partnership, multisig.approve(made.txn_id, b""), sender=second)


@pytest.fixture
def scene(network: Network) -> Scene:
    person, *partners = network.accounts[1:4]
    partnership = create_multisig(network, [one.native for one in partners], 2)
    limiter = network.deploy(HERE / "LimitSigner.json", LIMIT, PERIOD)
    signers = [person.address, limiter.address, network.address(partnership)]
    wallet = network.deploy(WALLET, signers, 2, value=100 * FIL)
    return Scene(network, wallet, person, limiter, partnership, (partners[0], partners[1]))


def test_limiter_contract_signs_payment_below_its_limit(scene: Scene) -> None:
    to = scene.network.accounts[8]
    before = scene.network.balance(to)
    scene.wallet.send("propose", to.address, 3 * FIL, b"", sender=scene.person)
    assert scene.network.balance(to) == before
    scene.limiter.send("sign", scene.wallet.address, 0)
    assert scene.network.balance(to) == before + 3 * FIL


@pytest.mark.slow
def test_limiter_contract_signs_at_most_its_limit_per_period(scene: Scene, refused: Refused) -> None:
    to = scene.network.accounts[8].address
    for value in (LIMIT + 1, 6 * FIL, 5 * FIL):
        scene.wallet.send("propose", to, value, b"", sender=scene.person)
    assert refused(scene.limiter, "sign", scene.wallet.address, 0).reason == f"MoreThanLimit({LIMIT + 1}, {LIMIT})"
    scene.limiter.send("sign", scene.wallet.address, 1)
    assert refused(scene.limiter, "sign", scene.wallet.address, 2).reason == f"MoreThanLimit({5 * FIL}, {4 * FIL})"
    scene.network.mine(null_rounds=PERIOD)
    scene.limiter.send("sign", scene.wallet.address, 2)


def test_limiter_contract_signs_no_calls(scene: Scene, refused: Refused) -> None:
    scene.wallet.send("propose", scene.limiter.address, 0, b"\x01\x02\x03\x04", sender=scene.person)
    assert refused(scene.limiter, "sign", scene.wallet.address, 0).reason == "NotAPayment(0)"


def test_multisig_counts_as_one_signer(scene: Scene) -> None:
    to = scene.network.accounts[8]
    scene.wallet.send("propose", to.address, 50 * FIL, b"", sender=scene.person)
    before = scene.network.balance(to)
    vote = scene.vote_by_multisig(0)
    assert (vote.applied, vote.code) == (True, 0)
    assert scene.network.balance(to) == before + 50 * FIL


def test_multisig_reports_contract_revert_as_exit_code_33(scene: Scene) -> None:
    scene.wallet.send("propose", scene.network.accounts[8].address, FIL, b"", sender=scene.person)
    scene.limiter.send("sign", scene.wallet.address, 0)
    vote = scene.vote_by_multisig(0)  # the payment has been made
    assert (vote.applied, vote.code) == (True, 33)
    assert scene.wallet.reason(unwrap_return(vote.ret)) == "ExecutedAlready(0)"


def test_partner_of_the_multisig_is_not_a_signer(scene: Scene, refused: Refused) -> None:
    partner = scene.partners[0]
    scene.wallet.send("propose", scene.network.accounts[8].address, FIL, b"", sender=scene.person)
    assert refused(scene.wallet, "approve", 0, sender=partner).reason == f"NotASigner({checksummed(partner.address)})"
    words = f"ApprovedAlready(0, {checksummed(scene.person.address)})"
    assert refused(scene.wallet, "approve", 0, sender=scene.person).reason == words


def test_one_actor_cannot_be_two_signers(network: Network) -> None:
    """Name the same actor by its f410 address and by its masked ID."""
    person = network.accounts[1]
    twice = [person.address, masked(actor_id(network, person))]
    with pytest.raises(CallFailed) as failed:
        network.deploy(WALLET, twice, 2)
    assert (
        Artifact.load(WALLET).interface.decode_revert(failed.value.data)
        == f"SignerTwice({checksummed(person.address)})"
    )


def test_the_wallet_pays_a_storage_miner(scene: Scene) -> None:
    miner: Miner = scene.network.create_miner(sectors=0)
    before = scene.network.balance(miner.address)
    scene.wallet.send("propose", masked(miner.id), 2 * FIL, b"", sender=scene.person)
    scene.limiter.send("sign", scene.wallet.address, 0)
    assert scene.network.balance(miner.address) == before + 2 * FIL


@pytest.mark.slow
def test_native_call_failure_reports_exit_code(scene: Scene, refused: Refused) -> None:
    """Call a miner, which has no method InvokeEVM, and pay to an actor ID that does not exist."""
    miner: Miner = scene.network.create_miner(sectors=0)
    scene.wallet.send("propose", masked(miner.id), 0, b"\x01\x02\x03\x04", sender=scene.person)
    vote = scene.vote_by_multisig(0)
    reason = scene.wallet.reason(unwrap_return(vote.ret))
    assert (vote.code, reason) == (33, f"CallFailed({checksummed(masked(miner.id))}, 0x)")
    scene.wallet.send("propose", masked(999_999), FIL, b"", sender=scene.person)
    refusal = refused(scene.limiter, "sign", scene.wallet.address, 1)
    assert scene.wallet.reason(refusal.data) == f"SendFailed({checksummed(masked(999_999))}, -6)"
    assert scene.network.balance(scene.wallet) == 100 * FIL


# --- a contract as signer of a built-in multisig --------------------------------------------------------------------


@pytest.fixture
def member(network: Network) -> tuple[Contract, Address]:
    """A contract that forwards calls, and a multisig with the contract as one of two signers and a pending payment."""
    contract = network.deploy(PASSES_CALLS)
    contract_id = Address.id(actor_id(network, contract))
    partnership = create_multisig(network, [network.accounts[0].native, contract_id], 2)
    network.send_native(partnership, value=FIL)
    network.invoke(partnership, multisig.propose(network.accounts[5].native, 1, 0, b""))
    return contract, partnership


def pending(network: Network, partnership: Address) -> bytes:
    """Return the link to the multisig's pending transactions, which changes with every vote."""
    actor = network.machine.actor(partnership)
    assert actor is not None
    found: bytes = get_object(network.machine.store, actor.head)[6]
    return found


def test_contract_may_not_call_multisig_approve_by_number(
    network: Network, member: tuple[Contract, Address], refused: Refused
) -> None:
    contract, partnership = member
    number = partnership.actor_id()
    before = pending(network, partnership)
    refusal = refused(contract, "callNative", number, multisig.APPROVE, multisig.approve(0, b"").params)
    assert refusal.reason == f"NotCallable({number}, {multisig.APPROVE})"
    assert pending(network, partnership) == before


def test_plain_multisig_call_succeeds_without_voting(network: Network, member: tuple[Contract, Address]) -> None:
    """Call InvokeEVM of the multisig, which accepts all exported method numbers and returns nothing."""
    contract, partnership = member
    before = pending(network, partnership)
    wallet = network.deploy(WALLET, [network.accounts[0].address], 1)
    approve = contract.interface.encode_call("count", 7)
    wallet.send("propose", network.address(partnership), 0, approve)
    assert wallet.call("payments", 0)[-1] is True
    assert pending(network, partnership) == before
