"""Search for logs."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import EmittedLog, Log, bloom, bloom_bits
from hypervisor.tracing import LOGGER, MAX_CHARACTERS, MAX_LOGGED, CallStarted, CallTrees, DebugLog
from hypervisor.types import ActorID
from hypervisor_tools.cli.node_client import call_actor
from localnet import Contract, NativeActor, Network
from localnet.chain.logs import LogFilter, logs_between
from localnet.ledger.index import ChainIndex, LogCache
from localnet.ledger.records import Execution, decode_height
from localnet.traces.trace import trace
from store.keccak import keccak
from tests.hypervisor_tools.cli.test_node import running, terminated
from tests.localnet.conftest import ARTIFACTS
from tests.runtimes.wasm.guests import data, guest

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

        def execution(data: bytes, chain_id: int) -> object:
            self.executions += 1
            return decode(data, chain_id)

        def mask(item: bytes) -> int:
            self.hashes += 1
            return bloom_bits(item)

        monkeypatch.setattr("localnet.ledger.index.decode_height", height)
        monkeypatch.setattr(Execution, "decode", staticmethod(execution))
        monkeypatch.setattr("localnet.chain.logs.bloom_bits", mask)


@pytest.mark.slow
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


@pytest.mark.slow
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


SCHEMA = "type State any\ntype GreetParams unit representation null\ntype GreetReturn unit representation null\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return an actor that logs `hello` on every call."""
    file = tmp_path / "greeter.wasm"
    file.write_bytes(
        guest("(drop (call $log (i32.const 0) (i32.const 5))) (i32.const 0)", "debug.log", fields=data(0, b"hello"))
    )
    (tmp_path / "greeter.ipldsch").write_text(SCHEMA)
    return file


def greeter(network: Network, module: Path, name: str | None = None) -> NativeActor:
    code = network.actors.install(module, module.with_suffix(".ipldsch"), name=name)
    return network.actors.create(code)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    caplog.clear()
    return found


def test_message_and_call_log_each_line_once_with_actor_name(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module)
        number = network.machine.state_tree.lookup_id(actor.address)
        assert lines(caplog) == [f"f0{number} greeter: hello"]  # of its constructor
        receipt = actor.send("Greet")
        assert lines(caplog) == [f"f0{number} greeter: hello"]
        actor.call("Greet")
        assert lines(caplog) == [f"f0{number} greeter: hello"]
        found = trace(network.chain, receipt)
        assert lines(caplog) == []  # executed again, for the trace
        assert found.reproduced
        assert found.calls[0]["logs"] == ["hello"]
        assert "greeter Greet()" in str(found)
        assert "log hello" in str(found)


def test_gas_estimate_logs_nothing(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module)
        caplog.clear()
        assert network.estimate_gas(actor.address, b"\x01") > 0
        assert lines(caplog) == []
        network.send(actor.address, data=b"\x01", gas_limit=10**9)
        assert len(lines(caplog)) == 1


def test_logging_without_debugging_is_omitted_and_cheaper(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network() as network:
        assert greeter(network, module).send("Greet").trace.calls[0]["logs"] == []
        assert lines(caplog) == []


def test_a_name_of_ones_own_is_made_printable(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Network(actor_debugging=True) as network:
        actor = greeter(network, module, name="a\nb" + "x" * 100)
        (line,) = lines(caplog)
        assert line.endswith("a\\nb" + "x" * 60 + ": hello")
        assert actor.address == network.actors.at(actor.address).address


def test_long_lines_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    long = guest(
        "(drop (call $log (i32.const 0) (i32.const 65536))) (i32.const 0)",
        "debug.log",
        fields='(data (i32.const 0) "a")',
    )
    with Network(actor_debugging=True) as network:
        network.machine.create(network.machine.install(long))
    (line,) = lines(caplog)
    assert len(line) < MAX_CHARACTERS + 60
    assert line.endswith("... (65,536 characters)")


def test_call_tree_truncates_log_lines_with_notice() -> None:
    trees = CallTrees()
    trees.event(CallStarted(ActorID(100), None, 0, 0, b"", 0, False, 0))  # type: ignore[arg-type]  # a call without a receiver
    for _ in range(MAX_LOGGED + 5):
        trees.event(DebugLog(ActorID(100), "x"))
    assert len(trees.roots[0].logs) == MAX_LOGGED + 1
    assert "omitted" in trees.roots[0].logs[-1]


def test_a_log_that_was_set_up_keeps_its_level(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, LOGGER)
    with Network(actor_debugging=True) as network:
        greeter(network, module)
    assert lines(caplog) == []


@pytest.mark.slow
def test_a_node_prints_them(module: Path, tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        actor = greeter(network, module)
        number = network.machine.state_tree.lookup_id(actor.address)
    with running(tmp_path / "ready", "--state", str(tmp_path / "chain"), "--actor-logs") as (url, process):
        found = call_actor(url, str(actor.address), "Greet", None, 0, 0, False, module.with_suffix(".ipldsch"))
        assert found["answer"] is None
        output = terminated(process)[0]
    assert f"f0{number} greeter: hello" in output
