"""Encoding and decoding of index entries."""

from dataclasses import replace
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.overlay import Overlay
from localnet import Network
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.records import Execution, NullRound, Tipset, decode_height
from localnet.ledger.upgrades import Upgrade, Upgrades
from store.cid import CBOR, cid_of
from store.codec import decode, encode, link
from tests.localnet.conftest import ARTIFACTS


def test_a_tipset_comes_back(network: Network) -> None:
    network.send(network.accounts[1], 5)
    found = decode_height(network.head.encode())
    assert isinstance(found, Tipset)
    assert found == network.head


def test_a_null_round_comes_back() -> None:
    assert decode_height(NullRound(3, 9).encode()) == NullRound(3, 9)


def test_an_execution_comes_back_with_events_of_both_kinds(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    execution = inbox.send("greet", "hello", value=1).execution
    assert execution.events
    assert Execution.decode(execution.encode(7, 9)) == (execution, 7, 9)


def test_log_index_counts_events_without_a_logs_shape(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    execution = inbox.send("greet", "hello").execution
    event = execution.events[0]
    native = replace(event, entries=(event.entries[0]._replace(key="$type", codec=CBOR),))
    mixed = replace(execution, events=(native, event, native, event))
    (log,) = execution.logs()
    assert mixed.indexed_logs() == [(1, log), (3, log)]
    assert mixed.logs() == [log, log]


def test_a_creation_has_no_receiver(network: Network) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    execution = network.chain.index.receipt_at(network.head, 0).execution
    assert execution.to is None
    assert Execution.decode(execution.encode(0, 0))[0].to is None
    assert network.chain.index.receipt_at(network.head, 0).contract_address == counter.address


def test_the_networks_record_comes_back() -> None:
    upgrades = Upgrades(25, (Upgrade(ChainEpoch(7), 27), Upgrade(ChainEpoch(9), 28, cid_of(b"actors"))))
    record = NetworkRecord("localnet", TokenAmount(2 * 10**26), upgrades, "official", cid_of(b"first"))
    assert NetworkRecord.decode(record.encode()) == record


@pytest.mark.parametrize(
    "data", [b"", b"\x80", encode([3, "localnet"]), encode([3, "localnet", 5, 28, [], "", b"", "", ""]), b"\xff"]
)
def test_a_record_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        NetworkRecord.decode(data)


def test_record_round_trips_overlay_and_keeps_format_without_it() -> None:
    plain = NetworkRecord("localnet", TokenAmount(1), Upgrades(28), "fast", cid_of(b"first"))
    with_one = replace(plain, overlay=Overlay("dearer", 28, None, (("syscall", 1),)))
    assert NetworkRecord.decode(with_one.encode()) == with_one
    assert decode(plain.encode())[0] == 3
    assert decode(with_one.encode())[0] == 4


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (1, ["localnet", b""]),
        (2, ["localnet", b"", 28, [], "fast", link(cid_of(b"first"))]),
        (5, []),
    ],
)
def test_record_of_other_format_names_both_and_a_remedy(version: int, fields: list[Any]) -> None:
    said = (
        f"record format {version}, this program reads 3 and 4: continue with the release that wrote it, or name another"
    )
    with pytest.raises(InvalidInput, match=said) as refused:
        NetworkRecord.decode(encode([version, *fields]))
    assert "--load-state" in str(refused.value)
