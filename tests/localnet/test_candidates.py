"""The transaction of a message is decoded once, before its block and on re-execution."""

from typing import Any

import pytest

from bridge.ethereum.transactions import SignedTransaction
from bridge.filecoin.messages import from_signed_message
from localnet import Network
from localnet.ledger import candidates
from localnet.ledger.candidates import candidate_of
from localnet.rpc.node import Node
from tests.localnet.rpc.conftest import Client


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the hash of each message whose transaction is decoded."""
    seen: list[bytes] = []
    plain = from_signed_message

    def noted(message: Any, chain_id: int) -> SignedTransaction:
        seen.append(message.cid())
        return plain(message, chain_id)

    monkeypatch.setattr(candidates, "from_signed_message", noted)
    return seen


def test_a_trace_reads_each_transaction_once(read: list[bytes]) -> None:
    with Network(rules="ethereum") as network:
        network.automine = False
        for account in network.accounts[:3]:
            network.submit(account.sign(candidates_transfer(network)).raw())
        network.mine()
        assert not read, "what was sent to this process was read when it came"
        last = network.head.transactions[-1]
        Client(Node(network))("debug_traceTransaction", f"0x{last.hex()}", None)  # once for the log, once for its end
        assert len(read) == len(set(read)) == 3


def test_candidate_of_receipt_is_sent_transaction() -> None:
    with Network(rules="ethereum") as network:
        signed = network.accounts[0].sign(candidates_transfer(network))
        receipt = network.receipt(network.submit(signed.raw()))
        assert candidate_of(receipt).transaction == signed
        unsigned = network.send_native("f099", sender=network.accounts[0])
        assert candidate_of(unsigned).transaction is None


def candidates_transfer(network: Network) -> Any:
    from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction

    fee = 2 * network.base_fee
    return Transaction(DYNAMIC_FEE, network.chain_id, 0, network.accounts[5].address, 1, b"", 21_000, fee, 0)
