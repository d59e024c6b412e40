"""Conflict reports: actors, a contract's slots, and a chart."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.evm_state import EvmState
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock
from hypervisor.messages.message import Message
from localnet.replay import conflicts
from localnet.replay.conflicts import conflict_lines, conflict_records
from tests.hypervisor.machine.test_parallel import called, payment
from tests.parallel import COUNT, stage

THREE = bytes(31) + b"\x03"


def executed(*messages: Message) -> tuple[Hypervisor, Parallel]:
    machine, parallel = stage().machine.fork(), Parallel(2, adaptive=False)
    block = [BlockMessage(partial(machine.apply, each), each.from_, None) for each in messages]
    with ParallelBlock(machine, block, parallel) as started:
        results = [started.apply(number) for number in range(len(block))]
    assert not any(result.exit_code for result in results)
    return machine, parallel


def records(*messages: Message) -> dict[str, Any]:
    return conflict_records(*executed(*messages))


@pytest.mark.slow
def test_conflicting_slots_of_two_messages_are_reported() -> None:
    contract = stage().machine.state_tree.lookup_id(to_filecoin(stage().contracts[0]))
    found = records(called(1, COUNT, THREE), called(2, COUNT, THREE))
    assert found == {
        "workers": 2,
        "taken": 0,
        "executed_again": 1,
        "conflicts": [{"message": 1, "actor": f"f0{contract}", "fields": ["state"], "slots": ["0x3"]}],
    }
    assert [*conflict_lines(found, 2)] == [f"f0{contract} slot 0x3  .x"]


@pytest.mark.slow
def test_each_state_of_a_contract_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, parallel = executed(called(1, COUNT, THREE), called(2, COUNT, THREE))
    parallel.conflicts *= 3
    read, decode = list[bytes](), EvmState.decode

    def counted(data: bytes) -> EvmState:
        read.append(data)
        return decode(data)

    monkeypatch.setattr(conflicts, "EvmState", SimpleNamespace(decode=counted))
    found = conflict_records(machine, parallel)["conflicts"]
    assert [each["slots"] for each in found] == [["0x3"]] * 3
    assert len(read) == len(set(read)) == 2


@pytest.mark.slow
def test_only_first_conflicts_report_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, parallel = executed(called(1, COUNT, THREE), called(2, COUNT, THREE))
    parallel.conflicts *= 3
    monkeypatch.setattr(conflicts, "MAX_WITH_SLOTS", 2)
    found = conflict_records(machine, parallel)["conflicts"]
    assert [each.get("slots") for each in found] == [["0x3"], ["0x3"], None]


@pytest.mark.slow
def test_conflict_of_contract_with_many_slots_omits_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "MAX_SLOTS", 0)
    (found,) = records(called(1, COUNT, THREE), called(2, COUNT, THREE))["conflicts"]
    assert found["fields"] == ["state"]
    assert "slots" not in found


@pytest.mark.slow
def test_a_balance_has_no_slots() -> None:
    receiver = stage().accounts[7]
    actor = stage().machine.state_tree.lookup_id(to_filecoin(receiver))
    found = records(payment(1, to_filecoin(receiver), 1), payment(2, to_filecoin(receiver), 1))
    assert found["conflicts"] == [{"message": 1, "actor": f"f0{actor}", "fields": ["balance"]}]


def test_conflict_chart_has_line_per_actor_and_wraps() -> None:
    met = [{"message": 3, "actor": "f0100", "fields": ["balance"]}, {"message": 101, "address": "f1abc"}]
    assert [*conflict_lines({"conflicts": met}, 104)] == [
        f"f0100 balance  {'...x' + '.' * 96}",
        "               ....",
        f"f1abc          {'.' * 100}",
        "               .x..",
    ]
    assert [*conflict_lines({"conflicts": []}, 10)] == []


def test_picture_row_lists_fields_common_to_actor_conflicts() -> None:
    conflicts = [
        {"message": 1, "actor": "f0100", "fields": ["state"], "slots": ["0x0", "0x7"]},
        {"message": 3, "actor": "f0100", "fields": ["state"], "slots": ["0x0", "0x7", "0x8"]},
        {"message": 4, "actor": "f0100", "fields": ["state"], "slots": ["0x0", "0x9"]},
        {"message": 2, "actor": "f0101", "fields": ["balance"]},
        {"message": 4, "actor": "f0101", "fields": ["nonce", "balance"]},
        {"message": 0, "address": "f410fsomebody"},
    ]
    assert [*conflict_lines({"conflicts": conflicts}, 5)] == [
        "f0100 slot 0x0        .x.xx",
        "f0101 balance, nonce  ..x.x",
        "f410fsomebody         x....",
    ]
