"""Search for logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import EmittedLog, Log, bloom, bloom_bits
from localnet import Contract, Network
from localnet.chain.logs import LogFilter, logs_between
from localnet.ledger.index import ChainIndex
from localnet.ledger.log_cache import LogCache
from localnet.ledger.records import Execution, decode_height
from store.keccak import keccak
from tests.localnet.conftest import ARTIFACTS

GREETED = keccak(b"Greeted(address,uint256,string,uint256)")

addresses = st.sampled_from([EthAddress(bytes([n]) * 20) for n in range(3)])
topics = st.sampled_from([bytes([n]) * 32 for n in range(3)])
emitted = st.builds(lambda a, t: EmittedLog(a, Log(tuple(t), b"")), addresses, st.lists(topics, max_size=4))
filters = st.builds(
    LogFilter,
    st.lists(addresses, max_size=2).map(tuple),
    st.lists(st.lists(topics, max_size=2).map(tuple), max_size=4).map(tuple),
)


def plainly_matches(wanted: LogFilter, log: EmittedLog) -> bool:
    """Return True if a log matches by a literal implementation of eth_getLogs: every nonempty position must match."""
    if wanted.addresses and log.address not in wanted.addresses:
        return False
    for place, alternatives in enumerate(wanted.topics):
        if place >= len(log.log.topics):
            return False
        if alternatives and log.log.topics[place] not in alternatives:
            return False
    return True


@given(filters, emitted)
def test_filter_matching_agrees_with_reference_rule(wanted: LogFilter, log: EmittedLog) -> None:
    assert wanted.matches(log) == plainly_matches(wanted, log)


@given(filters, st.lists(emitted, max_size=4))
def test_a_bloom_never_hides_a_wanted_log(wanted: LogFilter, logs: list[EmittedLog]) -> None:
    if any(wanted.matches(log) for log in logs):
        assert wanted.may_match(bloom(logs))


@pytest.fixture
def inbox(network: Network) -> Contract:
    found = network.deploy(ARTIFACTS / "Inbox.json")
    for text in ("one", "two"):
        found.send("greet", text)
    network.mine(null_rounds=2)
    found.send("greet", "three")
    return found


def test_logs_are_found_across_null_rounds_in_the_chains_order(network: Network, inbox: Contract) -> None:
    found = list(logs_between(network.chain.index, 0, network.block_number, LogFilter((inbox.address,), ((GREETED,),))))
    events = [inbox.interface.decode_log(log.log) for _, _, log in found]
    assert [event and event.arguments["text"] for event in events] == ["one", "two", "three"]
    assert [receipt.first_event + place for receipt, place, _ in found] == [0, 0, 0]


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [
        (-4, 0, 2),
        (-4, -4, 1),
        (0, 0, 1),
        (-(2**62), 0, 3),
        (0, 2**62, 1),
    ],  # relative to the head: "two" is four heights below it
)
def test_log_range_includes_both_ends_and_may_exceed_chain(
    network: Network, inbox: Contract, first: int, last: int, count: int
) -> None:
    head, greeted = network.block_number, LogFilter((inbox.address,), ((GREETED,),))
    assert len(list(logs_between(network.chain.index, head + first, head + last, greeted))) == count


def test_no_log_matches_another_address(network: Network, inbox: Contract) -> None:
    nobody = LogFilter((EthAddress(bytes(20)),))
    assert list(logs_between(network.chain.index, 0, network.block_number, nobody)) == []


class Counted:
    """Counts calls of a module's functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heights = self.executions = self.hashes = 0
        decode = Execution.decode

        def height(data: bytes) -> object:
            self.heights += 1
            return decode_height(data)

        def execution(data: bytes) -> object:
            self.executions += 1
            return decode(data)

        def mask(item: bytes) -> int:
            self.hashes += 1
            return bloom_bits(item)

        monkeypatch.setattr("localnet.ledger.index.decode_height", height)
        monkeypatch.setattr(Execution, "decode", staticmethod(execution))
        monkeypatch.setattr("localnet.chain.logs.bloom_bits", mask)


def test_queried_logs_are_not_decoded_again(network: Network, inbox: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        inbox.send("greet", str(n))
    index, head = ChainIndex(network.machine.base), network.block_number  # the chain's own caches what it commits
    index.chain_ids = network.chain.index.chain_ids
    counted = Counted(monkeypatch)
    found = list(logs_between(index, 0, head, LogFilter((inbox.address,), ((GREETED,),))))
    assert len(found) == 8  # three of them the fixture's, which others may have asked for
    heights, decoded = counted.heights, counted.executions
    assert (5 <= decoded <= 8, counted.hashes) == (True, 2)  # of each log one transaction; of the filter each item
    assert list(logs_between(index, 0, head, LogFilter((inbox.address,), ((GREETED,),)))) == found
    assert (counted.executions, counted.heights, counted.hashes) == (decoded, heights, 4)
    inbox.send("greet", "5")
    index.head = head + 1
    assert len(list(logs_between(index, 0, head + 1, LogFilter()))) == 9
    assert counted.executions == decoded + 1  # the new block's logs


def test_logs_of_replaced_height_are_new(network: Network, inbox: Contract) -> None:
    mark = network.snapshot()
    inbox.send("greet", "1")
    height = network.block_number
    ((_, _, first),) = logs_between(network.chain.index, height, height, LogFilter())
    network.revert(mark)
    inbox.send("greet", "2")
    ((_, _, second),) = logs_between(network.chain.index, height, height, LogFilter())
    assert first.log.data != second.log.data


def test_oldest_cached_logs_are_evicted(network: Network, inbox: Contract) -> None:
    for n in range(3):
        inbox.send("greet", str(n))
    index = network.chain.index
    tipsets = [index.tipset(network.block_number - back) for back in range(3)]
    logs = [index.logs(tipset) for tipset in tipsets]
    kept = LogCache(limit=6_000)  # two of them, each more than 2,000
    for tipset, found in zip(tipsets, logs, strict=True):
        kept.put(tipset, found)
    assert [kept.get(tipset) for tipset in tipsets] == [None, *logs[1:]]
    assert kept.get(tipsets[0]) is None
    tiny = LogCache(limit=100)
    tiny.put(tipsets[0], logs[0])
    assert tiny.get(tipsets[0]) is None
