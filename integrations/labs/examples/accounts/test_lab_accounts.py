"""An account without FIL approves a token contract and DataCap in one transaction, whose gas a sponsor pays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import SET_CODE, Authorization, Transaction
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Message
from hypervisor.types import ActorID, MethodNumber, decode_bigint, encode_bigint
from localnet import Network
from localnet.accounts import Account
from localnet.errors import TransactionFailed
from localnet.ledger.records import TransactionReceipt
from store.codec import decode, encode
from store.keccak import keccak

HERE = Path(__file__).parent
DATACAP = ActorID(7)
OWNER = Account.from_key(bytes(31) + b"\x07")
_BATCH_TYPES = ("uint256", "address", "uint256", "(address,uint256,bytes)[]", "(uint64,uint64,bytes)[]")

Calls = list[tuple[EthAddress, int, bytes]]
Natives = list[tuple[int, int, bytes]]


class Stage:
    """A network with a token, a batch contract for accounts to delegate to, and a sponsor."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sponsor, self.spender = network.accounts[:2]
        self.batch = network.deploy(HERE / "Batch.json")
        self.token = network.deploy(HERE / "Token.json", OWNER.address, 1_000)

    def approve(self, amount: int) -> tuple[EthAddress, int, bytes]:
        """Return a call to the token's `approve`."""
        data = self.token.interface.encode_call("approve", self.spender.address, amount)
        return self.token.address, 0, data

    def raise_allowance(self, amount: int) -> tuple[int, int, bytes]:
        """Return a call of DataCap's method IncreaseAllowance."""
        params = encode([self.spender.native.to_bytes(), encode_bigint(amount)])
        return DATACAP, method_number("IncreaseAllowance"), params

    def signed_batch(self, batches: int, calls: Calls, natives: Natives) -> bytes:
        """Return calldata for the owner's account: a signed batch of calls."""
        fields = (self.network.chain_id, OWNER.address, batches, calls, natives)
        signature = OWNER.sign_digest(keccak(encode_abi(_BATCH_TYPES, fields)))
        v, r, s = signature[64] + 27, signature[:32], signature[32:64]
        return self.batch.interface.encode_call("run", calls, natives, v, r, s)

    def send(self, data: bytes, *authorizations: Authorization) -> TransactionReceipt:
        """Send a transaction of type 4 from the sponsor to the owner's account; return its receipt."""
        network = self.network
        transaction = Transaction(
            SET_CODE, network.chain_id, network.nonce(self.sponsor), OWNER.address, 0, data, 500_000_000,
            2 * network.base_fee + network.default_premium, network.default_premium, authorizations=authorizations,
        )  # fmt: skip
        return network.receipt(network.submit(self.sponsor.sign(transaction).raw()))

    def authorization(self, nonce: int = 0) -> Authorization:
        """Return the owner's authorization for the code of the batch contract."""
        return OWNER.sign_authorization(self.batch.address, nonce, self.network.chain_id)

    def allowances(self) -> tuple[Any, int]:
        """Return the spender's allowances from the owner: tokens and DataCap."""
        params = encode([OWNER.delegated.to_bytes(), self.spender.native.to_bytes()])
        method = MethodNumber(method_number("Allowance"))
        result = self.network.machine.call(
            Message(Address.id(DATACAP), self.sponsor.native, method=method, params=params)
        )
        assert result.exit_code == 0, result
        datacap = decode_bigint(decode(result.return_data))
        return self.token.call("allowance", OWNER.address, self.spender.address), datacap


@pytest.fixture(params=["lab:accounts", "lab:accounts=eip"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Network(rules=request.param, network=28) as network:  # from 29 on DataCap is frozen (FIP-0118)
        yield Stage(network)


def test_one_transaction_approves_in_both_runtimes_with_sponsor(stage: Stage) -> None:
    network = stage.network
    assert network.balance(OWNER.delegated) == 0
    receipt = stage.send(stage.signed_batch(0, [stage.approve(40)], [stage.raise_allowance(7)]), stage.authorization())
    assert receipt.succeeded, receipt
    assert stage.allowances() == (40, 7)
    assert network.balance(OWNER.delegated) == 0
    assert network.contract(OWNER.address, HERE / "Batch.json").call("batches") == 1
    stage.token.send("transferFrom", OWNER.address, stage.spender.address, 40, sender=stage.spender)
    assert stage.token.call("balanceOf", OWNER.address) == 960


def test_the_account_keeps_its_code_and_its_storage(stage: Stage) -> None:
    stage.send(stage.signed_batch(0, [stage.approve(1)], []), stage.authorization())
    stage.network.send(OWNER.address, data=stage.signed_batch(1, [stage.approve(2)], []))
    assert stage.allowances()[0] == 2
    with pytest.raises(TransactionFailed):  # a batch is valid only once
        stage.network.send(OWNER.address, data=stage.signed_batch(1, [stage.approve(3)], []), gas_limit=500_000_000)


def test_tampered_batch_is_rejected_by_delegated_code(stage: Stage) -> None:
    data = stage.signed_batch(0, [stage.approve(40)], [])
    changed = data.replace((40).to_bytes(32, "big"), (41).to_bytes(32, "big"))
    assert changed != data
    receipt = stage.send(changed, stage.authorization())
    assert not receipt.succeeded
    assert receipt.return_data[:4] == keccak(b"NotSigned()")[:4]
    assert stage.allowances()[0] == 0


def test_failed_native_call_reverts_batch_but_not_authorization(stage: Stage) -> None:
    broken = (DATACAP, method_number("IncreaseAllowance"), b"\x80")
    receipt = stage.send(stage.signed_batch(0, [stage.approve(40)], [broken]), stage.authorization())
    assert not receipt.succeeded
    assert stage.allowances() == (0, 0)
    stage.network.send(OWNER.address, data=stage.signed_batch(0, [stage.approve(40)], []))
    assert stage.allowances()[0] == 40
