"""A node's address index follows its chain beside the requests, and is closed with it."""

import time
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress
from localnet import Network
from localnet.explorer.application import explorer
from localnet.ledger.address_index import FILE, AddressIndex
from localnet.ledger.address_keys import message_key
from localnet.rpc.server.server import serving
from tests.localnet.rpc.asking import ALICE, BOB
from tests.localnet.rpc.server.test_http import ask
from tests.patience import slowness


@pytest.mark.slow
def test_address_index_follows_node_and_persists_in_folder(tmp_path: Path) -> None:
    folder, target = tmp_path / "chain", EthAddress(bytes.fromhex(BOB[2:]))
    with Network(folder) as network:
        addresses = AddressIndex(folder / FILE)
        with serving(network, pages=explorer([]), addresses=addresses) as url:
            snapshot = ask(url, "evm_snapshot")
            ask(url, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
            ask(url, "evm_revert", snapshot)
            ask(url, "anvil_mine", 5)
            sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x2"})
            end = time.monotonic() + 30 * slowness()
            while addresses.top_on(network.chain.index) != 6:
                assert time.monotonic() < end, "it does not follow"
                time.sleep(0.02)
            found = ask(url, "ots_searchTransactionsBefore", BOB, 0, 25)
            assert [each["hash"] for each in found["txs"]] == [sent]
        assert network.chain.watchers == []
        again = AddressIndex(folder / FILE)
        assert again.top_on(network.chain.index) == 6
        assert 6 in list(again.back((message_key(target),), 6))
        again.close()
