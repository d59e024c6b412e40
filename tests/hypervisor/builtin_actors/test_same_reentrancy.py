"""Contracts that call back into a waiting actor: token hooks, signatures, notifications, multisig payments."""

from collections.abc import Callable
from typing import Final

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.machine.executor import ApplyResult
from store.codec import decode, encode
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.contracts import CBOR, INVOKE_EVM, call_data, deploy, reentrant
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, DAVE, ETHEL, amount, packed, raw
from tests.hypervisor.builtin_actors.stage import GOVERNOR, MINER, TERM, WALLET, deal
from tests.hypervisor.builtin_actors.test_same_market import ADD, MARKET, PUBLISH, bitfield
from tests.hypervisor.builtin_actors.test_same_multisig import APPROVE, PROPOSE
from tests.hypervisor.builtin_actors.test_same_paymentchannel import UPDATE, Voucher
from tests.hypervisor.builtin_actors.test_same_registry import (
    ADD_CLIENT,
    BYTE,
    DATACAP,
    DAY,
    KIB,
    REGISTRY,
    TERM_MAX,
    TERM_MIN,
    piece,
)
from tests.hypervisor.builtin_actors.twins import Twins

YES: Final = encode_abi(["uint32", "uint64", "bytes"], [0, CBOR, b"\xf5"])
"""CBOR `true` as a contract's response to a Filecoin method."""

_REQUEST = [MINER, piece(8), KIB, TERM_MIN, TERM_MAX, 50 * DAY]
CALLS_BACK: Final[dict[str, tuple[int, int, bytes, int]]] = {
    "burns": (7, method_number("Burn"), packed(amount(BYTE)), 0),
    "burns what is another's": (7, method_number("BurnFrom"), packed(raw(BOB), amount(BYTE)), 0),
    "allocates": (7, method_number("Transfer"), packed(raw(REGISTRY), amount(KIB * BYTE), packed([_REQUEST], [])), 0),
    "spends as an operator": (
        7, method_number("TransferFrom"),
        packed(raw(BOB), raw(REGISTRY), amount(KIB * BYTE), packed([], [[MINER, 5, TERM + 9]])), 0,
    ),
    "allows": (7, method_number("IncreaseAllowance"), packed(raw(CAROL), amount(BYTE)), 0),
    "mints": (7, method_number("Mint"), packed(raw(DAVE), amount(BYTE), []), 0),
    "makes clients": (6, method_number("AddVerifiedClient"), packed(raw(DAVE), amount(4096)), 0),
    "clears allocations": (6, method_number("RemoveExpiredAllocations"), packed(101, [3]), 0),
    "extends claims": (6, method_number("ExtendClaimTerms"), packed([[MINER, 4, TERM + 5]]), 0),
    "receives in the registry's name": (6, method_number("Receive"), packed(2233613279, b""), 0),
    "pays in": (5, method_number("AddBalance"), encode(raw(CAROL)), 3),
    "takes out": (5, method_number("WithdrawBalance"), packed(raw(BOB), amount(5)), 0),
    "settles": (5, method_number("SettleDealPayments"), encode(bitfield(0, 1)), 0),
    "publishes": (5, method_number("PublishStorageDeals"), packed([deal("b").signed()]), 0),
    "approves": (WALLET, APPROVE, packed(0, b""), 0),
    "gives the wallet tokens": (WALLET, method_number("Receive"), packed(1, b""), 0),
    "asks the miner": (MINER, method_number("GetOwner"), b"", 0),
    "pays nobody": (99_999, 0, b"", 1),
}  # fmt: skip


def good(result: ApplyResult) -> None:
    """Check that the reentered actor continues, whatever the result of the call."""
    assert result.exit_code == 0, result.message


def minted(twins: Twins, contract: Address) -> None:
    """Mint to the contract: the token notifies its new owner, which is also another owner's operator."""
    good(
        twins.send_as(101, DATACAP, method_number("IncreaseAllowance"), packed(raw(contract), amount(90 * KIB * BYTE)))
    )
    params = packed(raw(contract), amount(5 * KIB * BYTE), [raw(CAROL)])
    good(twins.send_as(GOVERNOR, DATACAP, method_number("Mint"), params))


def made_a_client(twins: Twins, contract: Address) -> None:
    """Make the contract a client: the registry mints through the token."""
    good(twins.send(REGISTRY, ADD_CLIENT, packed(raw(contract), amount(8 * KIB)), 0, ALICE))


def given_back(twins: Twins, contract: Address) -> None:
    """Let allocations of the contract expire: the registry transfers the tokens back."""
    made_a_client(twins, contract)
    client = int(twins.world().id_of(contract))
    requests = [[MINER, piece(8), KIB, TERM_MIN, TERM_MAX, stage.EPOCH + 1]]
    params = packed(raw(REGISTRY), amount(KIB * BYTE), packed(requests, []))
    good(twins.send_as(client, DATACAP, method_number("Transfer"), params))
    twins.advance(epoch=stage.EPOCH + 2)
    good(twins.send(REGISTRY, method_number("RemoveExpiredAllocations"), packed(client, []), 0, DAVE))


def asked_for_a_deal(twins: Twins, contract: Address) -> None:
    """Publish a deal of the contract's: it signs in a read-only call and is notified of the deal."""
    good(twins.send(MARKET, ADD, encode(raw(contract)), 10**8, DAVE))
    fields = deal("contract's", client=contract).fields()
    good(twins.send(MARKET, PUBLISH, packed([[fields, b"\x01" + bytes(65)]]), 0, ALICE))


def paid_by_a_wallet(twins: Twins, contract: Address) -> None:
    params = packed(raw(contract), amount(7), INVOKE_EVM, b"")
    good(twins.send(Address.id(WALLET), PROPOSE, params, 0, ALICE))
    good(twins.send(Address.id(WALLET), APPROVE, packed(2, b""), 0, BOB))


def wanted_by_a_voucher(twins: Twins, contract: Address) -> None:
    channel = Address.id(stage.CHANNEL)
    voucher = Voucher(channel, lane=5, amount=5, extra=[raw(contract), INVOKE_EVM, encode(b"")])
    good(twins.send(channel, UPDATE, encode([voucher.signed_by(ALICE), b""]), 0, BOB))


@pytest.mark.parametrize(
    "called", [minted, made_a_client, given_back, asked_for_a_deal, paid_by_a_wallet, wanted_by_a_voucher]
)
@pytest.mark.parametrize("back", CALLS_BACK)
def test_a_contract_calls_back(staged: Twins, called: Callable[[Twins, Address], None], back: str) -> None:
    twins = staged.fork()
    actor, method, params, value = CALLS_BACK[back]
    contract = deploy(twins, reentrant(call_data(actor, method, params, value=value), YES))
    assert twins.send(contract, INVOKE_EVM, b"", 10, DAVE).exit_code == 0
    called(twins, contract)


def test_contract_call_from_token_hook_takes_effect(staged: Twins) -> None:
    twins = staged.fork()
    actor, method, params, _ = CALLS_BACK["burns"]
    contract = deploy(twins, reentrant(call_data(actor, method, params), YES))
    minted(twins, contract)
    left = twins.send(DATACAP, method_number("Balance"), encode(raw(contract)), 0, DAVE)
    assert decode(left.return_data) == amount(5 * KIB * BYTE - BYTE)


def test_a_hook_that_calls_the_hook_again(staged: Twins) -> None:
    """A contract sends tokens to itself from its hook; only the governor may receive any."""
    twins = staged.fork()
    account = twins.official.actor(ETHEL)
    assert account is not None
    own = to_filecoin(create_address(EthAddress(ETHEL.subaddress()), account.nonce))
    transfer = packed(raw(own), amount(BYTE), b"")
    contract = deploy(twins, reentrant(call_data(7, method_number("Transfer"), transfer), YES))
    assert contract == own
    minted(twins, contract)
