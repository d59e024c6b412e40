"""A token with an FRC-46 and an ERC-20 interface over one set of balances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bridge.actors.binding import Call
from bridge.bindings import datacap
from bridge.ethereum.addresses import checksummed
from bridge.filecoin.method_numbers import method_number
from examples.conftest import Refused, actor_id, masked
from hypervisor import Address
from hypervisor.types import MethodNumber, TokenAmount, encode_bigint
from localnet import Account, Contract, Network, TransactionFailed, TransactionReceipt
from store.codec import decode, encode

HERE = Path(__file__).parent
INBOX = HERE.parent / "solidity" / "artifacts" / "Inbox.json"
SUPPLY = 10**30
FRC46 = 2233613279
RECEIVE = method_number("Receive")
R = TypeVar("R")


@dataclass
class Scene:
    """A token whose supply belongs to `owner` at its Ethereum address; `native` is an account with an f1 address."""

    network: Network
    token: Contract
    owner: Account
    native: Account

    def invoke(self, call: Call[R], sender: Account | None = None) -> R:
        """Call an FRC-46 method from a native account. The built-in DataCap token has the same methods."""
        return self.network.invoke(self.token.address, call, sender=sender or self.native)

    def fails(self, call: Call[Any]) -> tuple[int, str]:
        """Return the exit code and reason of an FRC-46 call, which must fail."""
        with pytest.raises(TransactionFailed) as failed:
            self.invoke(call)
        return failed.value.exit_code, self.token.reason(failed.value.data) if failed.value.data else ""

    def balance(self, address: Address) -> int:
        return self.network.ask(self.token.address, datacap.balance(address))

    def give(self, to: Account, amount: int) -> None:
        """Transfer tokens to a native account through the ERC-20 interface."""
        self.token.send("transfer", masked(actor_id(self.network, to.native)), amount, sender=self.owner)


@pytest.fixture
def scene(network: Network) -> Scene:
    owner, native = network.accounts[:2]
    return Scene(network, network.deploy(HERE / "DualToken.json", SUPPLY), owner, native)


def test_both_interfaces_report_the_same_metadata(scene: Scene) -> None:
    assert scene.invoke(datacap.name()) == scene.token.call("name") == "Dual Token"
    assert scene.invoke(datacap.symbol()) == scene.token.call("symbol") == "DUAL"
    assert scene.invoke(datacap.total_supply()) == scene.token.call("totalSupply") == SUPPLY
    assert scene.invoke(datacap.granularity()) == 1
    assert scene.balance(scene.owner.delegated) == scene.token.call("balanceOf", scene.owner.address) == SUPPLY


def test_tokens_sent_by_erc20_to_native_account_move_by_frc46(scene: Scene) -> None:
    scene.give(scene.native, 1000)
    assert scene.balance(scene.native.native) == 1000
    to = scene.network.accounts[5]
    moved = scene.invoke(datacap.transfer(to.delegated, 400, b""))
    assert moved == datacap.TransferReturn(TokenAmount(600), TokenAmount(400), b"")
    assert scene.token.call("balanceOf", to.address) == 400
    scene.token.send("transfer", scene.owner.address, 400, sender=to)
    assert scene.token.call("balanceOf", to.address) == 0


def test_one_actor_has_one_balance_under_all_its_addresses(scene: Scene) -> None:
    """Look up one balance by f410 address, actor ID and masked ID, through both the ERC-20 and the FRC-46 interface."""
    holder = scene.network.accounts[5]
    number = actor_id(scene.network, holder)
    scene.token.send("transfer", masked(number), 70, sender=scene.owner)
    assert scene.token.call("balanceOf", holder.address) == 70
    assert scene.token.call("balanceOf", masked(number)) == 70
    assert scene.balance(Address.id(number)) == scene.balance(holder.delegated) == 70
    scene.token.send("approve", masked(number), 5, sender=scene.owner)
    assert scene.token.call("allowance", scene.owner.address, holder.address) == 5


def test_frc46_transfer_emits_the_erc20_event(scene: Scene) -> None:
    scene.give(scene.native, 10)
    to = scene.network.accounts[5]
    receipt = transfer(scene, to.address, 4)
    (event,) = scene.token.events(receipt)
    seen = masked(actor_id(scene.network, scene.native.native))
    assert event.event == "Transfer"
    assert event.arguments == {"from": f"0x{seen.hex()}", "to": f"0x{to.address.hex()}", "value": 4}


# --- allowances -----------------------------------------------------------------------------------------------------


def test_allowance_set_by_frc46_is_spent_by_erc20(scene: Scene) -> None:
    spender = scene.network.accounts[5]
    scene.give(scene.native, 100)
    assert scene.invoke(datacap.increase_allowance(spender.delegated, 60)) == 60
    from_ = masked(actor_id(scene.network, scene.native.native))
    scene.token.send("transferFrom", from_, spender.address, 25, sender=spender)
    assert scene.invoke(datacap.decrease_allowance(spender.delegated, 5)) == 30
    assert scene.invoke(datacap.allowance(scene.native.native, spender.delegated)) == 30
    assert scene.invoke(datacap.revoke_allowance(spender.delegated)) == 30
    assert scene.token.call("allowance", from_, spender.address) == 0


def test_native_operator_spends_and_burns_ethereum_allowance(scene: Scene) -> None:
    scene.token.send("approve", masked(actor_id(scene.network, scene.native.native)), 100, sender=scene.owner)
    owner, to = scene.owner.delegated, scene.network.accounts[5].delegated
    moved = scene.invoke(datacap.transfer_from(owner, to, 30, b""))
    assert moved == datacap.TransferFromReturn(TokenAmount(SUPPLY - 30), TokenAmount(30), TokenAmount(70), b"")
    burned = scene.invoke(datacap.burn_from(owner, 20))
    assert burned == datacap.BurnFromReturn(TokenAmount(SUPPLY - 50), TokenAmount(50))
    assert scene.token.call("totalSupply") == SUPPLY - 20


def test_holder_burns_own_tokens(scene: Scene) -> None:
    scene.give(scene.native, 10)
    assert scene.invoke(datacap.burn(4)).balance == 6
    assert scene.token.call("totalSupply") == SUPPLY - 4


# --- receivers ------------------------------------------------------------------------------------------------------


def transfer(scene: Scene, to: bytes, amount: int, data: bytes = b"") -> TransactionReceipt:
    call = datacap.transfer(Address.delegated(10, to), amount, data)
    return scene.network.send_native(
        scene.token.address, call.method, call.params, sender=scene.native, gas_limit=5_000_000_000
    )


def test_contract_receives_token_notification_and_answers(scene: Scene) -> None:
    inbox = scene.network.deploy(INBOX)
    scene.give(scene.native, 100)
    receipt = transfer(scene, inbox.address, 30, b"for the rent")
    (notified,) = inbox.events(receipt)
    assert notified.arguments["method"] == RECEIVE
    kind, payload = decode(notified.arguments["params"])
    native = actor_id(scene.network, scene.native.native)
    assert kind == FRC46
    assert decode(payload) == [native, actor_id(scene.network, inbox), native, encode_bigint(30), b"for the rent", b""]
    moved = datacap.TransferReturn.decode(receipt.execution.receipt.return_data)
    assert (moved.to_balance, moved.recipient_data) == (
        30,
        notified.arguments["params"],
    )  # this contract returns its parameters


def test_transfer_to_refusing_receiver_is_reverted(scene: Scene) -> None:
    """Transfer to the token itself, which has no method Receive and exits with 22 for unknown methods."""
    scene.give(scene.native, 100)
    to = Address.delegated(10, scene.token.address)
    exit_code, words = scene.fails(datacap.transfer(to, 30, b""))
    assert (exit_code, words) == (33, f"ReceiverRefused({actor_id(scene.network, scene.token)}, 22)")
    assert scene.balance(scene.native.native) == 100


def test_erc20_transfers_do_not_notify_receiver(scene: Scene) -> None:
    scene.token.send("transfer", scene.token.address, 5, sender=scene.owner)
    assert scene.token.call("balanceOf", scene.token.address) == 5


# --- errors ---------------------------------------------------------------------------------------------------------


def test_overspending_is_rejected(scene: Scene, refused: Refused) -> None:
    seen = checksummed(masked(actor_id(scene.network, scene.native.native)))
    scene.give(scene.native, 10)
    to = scene.network.accounts[5].delegated
    words = f"ERC20InsufficientBalance({seen}, 10, 11)"
    assert scene.fails(datacap.transfer(to, 11, b"")) == (33, words)
    assert scene.fails(datacap.burn(11)) == (33, words)
    spender = scene.network.accounts[5]
    refusal = refused(scene.token, "transferFrom", scene.owner.address, spender.address, 1, sender=spender)
    assert refusal.reason == f"ERC20InsufficientAllowance({checksummed(spender.address)}, 0, 1)"
    words = f"ERC20InsufficientAllowance({seen}, 0, 1)"
    assert scene.fails(datacap.transfer_from(scene.owner.delegated, to, 1, b"")) == (33, words)


def test_nonexistent_actor_has_no_balance_and_receives_nothing(scene: Scene) -> None:
    nobody = Address.secp256k1(b"\x04" + bytes(63) + b"\x01")
    assert scene.balance(nobody) == 0
    scene.give(scene.native, 10)
    assert scene.fails(datacap.transfer(nobody, 1, b"")) == (33, "NoSuchActor()")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (datacap.BURN, encode([encode_bigint(-1)])),
        (datacap.BURN, encode([b"\x00" + b"\x01" * 33])),  # more than 256 bits
        (datacap.BURN, encode([])),
        (datacap.BURN, b""),
        (datacap.BURN, b"\x81\x45\x00\x01"),  # truncated
        (datacap.BURN, encode([encode_bigint(1)]) + b"\x00"),  # trailing byte
        (datacap.BURN, encode([encode_bigint(1), 0])),
        (datacap.BALANCE, encode(b"\x00\x01") + b"\x00"),
        (datacap.NAME, encode([])),
        (datacap.TRANSFER, encode([b"\x09\x09", encode_bigint(1), b""])),  # not an address
    ],
)
def test_malformed_parameters_are_rejected(scene: Scene, method: MethodNumber, params: bytes) -> None:
    scene.give(scene.native, 10)
    with pytest.raises(TransactionFailed) as failed:
        scene.network.send_native(scene.token.address, method, params, sender=scene.native)
    assert failed.value.exit_code == 33
    assert scene.token.call("totalSupply") == SUPPLY


def test_unknown_method_exits_with_22(scene: Scene) -> None:
    assert scene.fails(datacap.mint(scene.native.native, 1, ()))[0] == 22


def test_token_rejects_value(scene: Scene) -> None:
    with pytest.raises(TransactionFailed) as failed:
        scene.network.send_native(scene.token.address, datacap.NAME, value=1)
    assert failed.value.exit_code == 33
