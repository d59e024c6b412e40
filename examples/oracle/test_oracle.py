"""A native oracle pushes prices to contracts, which call the oracle during the push."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import checksummed
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import invoke_params, unwrap_return
from examples.conftest import Refused, actor_id, masked
from hypervisor.machine.machine import CreationFailed
from localnet import Account, Contract, NativeActor, Network, TransactionFailed, TransactionReceipt
from store.codec import decode
from store.keccak import keccak

HERE = Path(__file__).parent
FEED = HERE / "PriceFeed.json"
MAX_AGE = 100
REPORT = method_number("Report")


@dataclass
class Scene:
    """An oracle with three reporters and a quorum of two, and a subscribed contract."""

    network: Network
    oracle: NativeActor
    feed: Contract
    reporters: tuple[Account, ...]

    def subscribe(self, address: bytes) -> None:
        self.oracle.send("Subscribe", address, sender=self.reporters[0])

    def report(self, round_: int, *prices: int) -> TransactionReceipt:
        """Report each price from another reporter; return the receipt of the last report."""
        receipts = [
            self.oracle.send("Report", {"round": round_, "price": price}, sender=reporter)
            for reporter, price in zip(self.reporters, prices, strict=False)
        ]
        return receipts[-1]

    def refusals(self, receipt: TransactionReceipt) -> list[tuple[bytes, str]]:
        """Return the oracle's refused pushes: the contract that refused and the reason."""
        found = []
        for event in receipt.execution.events:
            if event.emitter != actor_id(self.network, self.oracle.address):
                continue
            fields = {entry.key: decode(entry.value) for entry in event.entries}
            if fields["$type"] == "push-refused":
                found.append((fields["contract"], fields["why"]))
        return found


def create_oracle(network: Network, reporters: tuple[Account, ...], quorum: int) -> NativeActor:
    code = network.actors.install(HERE / "oracle.wasm", HERE / "interface.ipldsch")
    return network.actors.create(code, {"reporters": [one.native for one in reporters], "quorum": quorum})


@pytest.fixture
def scene(network: Network) -> Scene:
    reporters = network.accounts[1:4]
    oracle = create_oracle(network, reporters, 2)
    feed = network.deploy(FEED, network.address(oracle.address), MAX_AGE)
    ready = Scene(network, oracle, feed, reporters)
    ready.subscribe(feed.address)
    return ready


@pytest.mark.slow
def test_the_median_of_a_round_is_pushed_to_the_contract(scene: Scene) -> None:
    first = scene.report(1, -300)
    assert scene.oracle.return_value("Report", first) is False
    closing = scene.oracle.send("Report", {"round": 1, "price": 2**62}, sender=scene.reporters[2])
    assert scene.oracle.return_value("Report", closing) is True
    assert scene.refusals(closing) == []
    assert (scene.feed.call("round"), scene.feed.call("price")) == (1, -300)
    (event,) = scene.feed.events(closing)
    assert event.arguments == {"round": 1, "price": -300}


@pytest.mark.slow
def test_contract_calls_the_oracle_during_the_push(scene: Scene) -> None:
    """Check the calls of a push: the contract calls `oracle.latest()`, which returns what was saved before."""
    trace = scene.network.trace(scene.report(1, 5, 7).hash)
    path = []
    calls: Any = trace.calls
    while calls:
        (call,) = calls
        path.append((call["runtime"], call["actor"], call["method"], call["readOnly"], call["exitCode"]))
        calls = call["calls"]
    assert path == [
        ("wasm", "actor", REPORT, False, 0),
        ("evm" if scene.network.machine.registry.names() else "wasm", "evm", INVOKE_EVM, False, 0),
        ("wasm", "actor", INVOKE_EVM, True, 0),
    ]


def test_late_subscriber_pulls_price_from_oracle(scene: Scene) -> None:
    scene.report(1, 40, 41)
    late = scene.network.deploy(FEED, scene.network.address(scene.oracle.address), MAX_AGE)
    late.send("pull")
    assert late.call("price") == 40


def test_native_callers_read_the_same_price(scene: Scene) -> None:
    scene.report(1, 40, 41)
    latest = scene.oracle.call("Latest")
    assert (latest.round, latest.price) == (1, 40)


def test_a_native_error_is_a_solidity_error_to_the_contract(scene: Scene, refused: Refused) -> None:
    refusal = refused(scene.feed, "pull")
    assert refusal.data == keccak(b"NoPriceYet()")[:4]
    assert refusal.exits == [("evm", 33), ("actor", 33)]


def test_unknown_oracle_function_reverts_with_message(scene: Scene) -> None:
    with pytest.raises(TransactionFailed) as failed:
        scene.network.send_native(scene.oracle.address, INVOKE_EVM, invoke_params(b"\x01\x02\x03\x04"))
    assert failed.value.exit_code == 33
    data = unwrap_return(failed.value.receipt.execution.receipt.return_data)
    assert scene.feed.reason(data) == "no such function"


# --- permissions --------------------------------------------------------------------------------------------------


def test_only_oracle_can_update_contract(scene: Scene, refused: Refused) -> None:
    """Update the feed from an Ethereum account and from a reporter's native account."""
    thief, reporter = scene.network.accounts[7], scene.reporters[0]
    refusal = refused(scene.feed, "update", 1, 1, sender=thief)
    assert refusal.reason == f"NotTheOracle({checksummed(thief.address)})"
    call = invoke_params(scene.feed.interface.encode_call("update", 1, 1))
    with pytest.raises(TransactionFailed) as failed:
        scene.network.send_native(scene.feed.address, INVOKE_EVM, call, sender=reporter)
    seen = masked(actor_id(scene.network, reporter.native))
    assert scene.feed.reason(failed.value.data) == f"NotTheOracle({checksummed(seen)})"


def test_strangers_cannot_report_or_subscribe(scene: Scene) -> None:
    stranger = scene.network.accounts[7]
    for method, params in (("Report", {"round": 1, "price": 5}), ("Subscribe", scene.feed.address)):
        with pytest.raises(TransactionFailed) as failed:
            scene.oracle.send(method, params, sender=stranger)
        assert failed.value.exit_code == 18


@pytest.mark.parametrize(("round_", "exit_code"), [(0, 16), (1, 18), (2, 16)])
def test_a_reporter_reports_once_and_for_the_open_round(scene: Scene, round_: int, exit_code: int) -> None:
    scene.report(1, 5)
    with pytest.raises(TransactionFailed) as failed:
        scene.report(round_, 6)
    assert failed.value.exit_code == exit_code


# --- rejected pushes ------------------------------------------------------------------------------------------------


def test_reverting_subscriber_does_not_block_others(scene: Scene) -> None:
    """Subscribe a feed of another oracle. Its custom error is unknown to this oracle, so it is reported as hex."""
    other = scene.network.deploy(FEED, masked(5), MAX_AGE)
    scene.subscribe(other.address)
    after = scene.network.deploy(FEED, scene.network.address(scene.oracle.address), MAX_AGE)
    scene.subscribe(after.address)
    receipt = scene.report(1, 5, 7)
    assert (scene.feed.call("price"), after.call("price")) == (5, 5)
    seen = keccak(b"NotTheOracle(address)")[:4] + bytes(12) + scene.network.address(scene.oracle.address)
    expected = f"the contract reverted: {seen.hex()}"
    assert scene.refusals(receipt) == [(other.address, expected)]


@pytest.mark.parametrize("error", ["data", "a reason"])
def test_contract_with_long_revert_data_does_not_block_others(scene: Scene, error: str) -> None:
    """Revert with 5,000 bytes, which in hex exceed the size limit of an event (8 KiB)."""
    before = scene.network.deploy({"abi": [], "bytecode": reverting_with(0 if error == "data" else 5_000 - 68)})
    scene.subscribe(before.address)
    after = scene.network.deploy(FEED, scene.network.address(scene.oracle.address), MAX_AGE)
    scene.subscribe(after.address)
    receipt = scene.report(1, 5, 7)
    assert (scene.feed.call("price"), after.call("price")) == (5, 5)
    ((refuser, why),) = scene.refusals(receipt)
    assert refuser == before.address
    assert why.startswith("the contract reverted: ")
    assert len(why) < 1_000


def reverting_with(text: int) -> str:
    """Return creation code of a contract that reverts with zeros, or with `Error(string)` of `text` bytes."""
    reason = bytes.fromhex("6308c379a060e01b5f52" + "6020600452" + f"61{text:04x}602452") if text else b""
    code = reason + bytes.fromhex("6113885ffd")
    return "0x" + (bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code).hex()


def test_known_custom_error_is_decoded(scene: Scene) -> None:
    """Push the same round to one contract twice, by subscribing it under its masked ID too."""
    number = actor_id(scene.network, scene.feed)
    scene.subscribe(masked(number))
    refusals = scene.refusals(scene.report(1, 5, 7))
    assert refusals == [(masked(number), "the contract is at round 1 already")]


def test_non_contract_subscribers_have_distinct_errors(scene: Scene) -> None:
    account = actor_id(scene.network, scene.network.accounts[5].native)
    miner = scene.network.create_miner(sectors=0).id
    for actor in (account, miner, 999_999):
        scene.subscribe(masked(actor))
    refusals = scene.refusals(scene.report(1, 5, 7))
    assert [why for _, why in refusals] == [
        "there is no contract to call",
        "the contract exited with code 22",
        "the call was not sent: error number 6",
    ]


@pytest.mark.slow
def test_stale_price_is_rejected(scene: Scene, refused: Refused) -> None:
    assert refused(scene.feed, "price").reason == "TooOld(0)"
    updated = scene.report(1, 5, 7).block_number
    scene.network.mine(null_rounds=MAX_AGE + 1)
    assert refused(scene.feed, "price").reason == f"TooOld({updated})"


@pytest.mark.parametrize("quorum", [0, 4])
def test_unreachable_quorum_is_rejected(network: Network, quorum: int) -> None:
    with pytest.raises(CreationFailed, match="16"):
        create_oracle(network, network.accounts[1:4], quorum)
