"""Gas by function of native actors, compared with the charges of the same message and with counts by hand."""

from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.types import TokenAmount
from localnet import NativeActor, Network, TransactionFailed
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.server.server import serving
from localnet.traces.guest_profile import GuestProfile, check_profile
from tests.command import run
from tests.runtimes.wasm.guests import data, guest

# `twice` calls `leaf` twice, and `fall` itself as often as its argument says; everything ends by what the method is.
FUNCTIONS = """
    (func $leaf (result i32) (i32.const 1))
    (func $twice (drop (call $leaf)) (drop (call $leaf)))
    (func $fall (param i32) (if (local.get 0) (then (call $fall (i32.sub (local.get 0) (i32.const 1))))))
    (func $method (result i32) (drop (call $message_context (i32.const 200))) (i32.load (i32.const 232)))
"""
BODY = """
    (call $twice) (call $fall (i32.const 9))
    (if (i32.eq (call $method) (i32.const 8))
        (then (drop (call $exit (i32.const 77) (i32.const 0) (i32.const 0) (i32.const 0)))))
    (if (i32.eq (call $method) (i32.const 9)) (then unreachable))
    (i32.const 0)"""
MODULE = guest(BODY, "vm.message_context", "vm.exit", fields=FUNCTIONS)
SUCCEEDS = 7
THUNK = 56_000
"""Milligas charged before `invoke` is entered: 14 instructions."""


@pytest.fixture
def actor(network: Network) -> NativeActor:
    return network.actors.create(network.actors.keep(MODULE, name="busy"), cbor=b"")


def sent(actor: NativeActor, method: int) -> TransactionReceipt:
    if method == SUCCEEDS:
        return actor.send(method)
    with pytest.raises(TransactionFailed) as failed:
        actor.send(method)
    assert failed.value.receipt is not None
    return failed.value.receipt


def rows(profile: GuestProfile) -> dict[str, tuple[int, int, int]]:
    return {row.name: (row.count, row.milligas, row.total_milligas) for row in profile.rows}


@pytest.mark.parametrize("method", [7, 8, 9], ids=["returns", "exits", "traps"])
def test_the_gas_of_the_functions_is_that_of_the_charges(network: Network, actor: NativeActor, method: int) -> None:
    receipt = sent(actor, method)
    profile = network.profile(receipt.hash)
    assert (profile.reproduced, profile.gas_used) == (True, receipt.gas_used)
    charges = receipt.trace.calls[0]["charges"]
    guest_code = sum(row.milligas for row in profile.rows if not row.is_syscall)
    syscalls = sum(row.milligas for row in profile.rows if row.is_syscall)
    assert guest_code == charges["wasm_exec"] - THUNK
    assert syscalls == charges["OnSyscall"]  # none of them costs more here


def test_calls_are_counted_and_recursion_is_not_counted_twice(network: Network, actor: NativeActor) -> None:
    found = rows(network.profile(sent(actor, 7).hash))
    assert {name: found[name][0] for name in ("leaf", "twice", "fall", "method")} == {
        "leaf": 2, "twice": 1, "fall": 10, "method": 2,
    }  # fmt: skip
    assert found["vm::message_context"] == (2, 28_000_000, 28_000_000)
    assert found["fall"][1] == found["fall"][2]  # it calls none but itself
    assert found["twice"][2] == found["twice"][1] + found["leaf"][1]
    # a constant and its block's end are one instruction: 4 gas
    assert found["leaf"][1] == 2 * 4_000


def test_a_call_of_another_actor_stands_under_its_syscall(network: Network, actor: NativeActor) -> None:
    target = network.machine.state_tree.lookup_id(actor.address)
    assert target is not None
    assert target < 128
    send = """(drop (call $send (i32.const 300) (i32.const 100) (i32.const 2) (i64.const 7) (i32.const 0) (i64.const 0)
        (i64.const 0) (i64.const -1) (i64.const 0))) (i32.const 0)"""
    caller = guest(send, "send.send", fields=data(100, bytes((0, target))))
    code = network.actors.keep(caller, name="caller")
    receipt = network.actors.create(code, cbor=b"").send(7)
    profile = network.profile(receipt.hash)
    assert profile.reproduced
    (top,) = profile.boxes
    assert top.label.endswith(" caller.7")
    (invoke,) = top.inner
    (syscall,) = invoke.inner
    (inner,) = syscall.inner
    assert (syscall.label, inner.label) == ("send::send", f"f0{target} busy.7")
    found = {(row.actor, row.name): row for row in profile.rows}
    assert found["busy", "leaf"].count == 2
    (called,) = receipt.trace.calls[0]["calls"]
    outer = receipt.trace.calls[0]["charges"]
    assert found["caller", "send::send"].total_milligas <= outer["OnSyscall"] + 1000 * (called["gas"] + 1_000_000)
    assert inner.gas < called["gas"] < syscall.gas


def test_the_memory_of_a_profile_is_not_the_guest_s(network: Network, actor: NativeActor) -> None:
    """An actor grows its memory by 8,150 pages and calls itself while profiled.

    A message may have 2 GiB, 32,768 pages. For 5 instances of one page and 4 growths of 8,150 pages, 163 pages are
    left, fewer than a profile has: the fifth instance grows by exactly these, and exits with its page count.
    """
    before = network.machine.state_tree.lookup_id(actor.address)
    assert before is not None
    number = before + 1
    body = """
        (if (i32.eq (call $method) (i32.const 1)) (then (return (i32.const 0))))
        (if (i32.ge_s (memory.grow (i32.const 8150)) (i32.const 0)) (then
            (drop (call $send (i32.const 300) (i32.const 100) (i32.const 2) (i64.const 7) (i32.const 0) (i64.const 0)
                (i64.const 0) (i64.const -1) (i64.const 0)))
            (drop (call $exit (i32.load (i32.const 300)) (i32.const 0) (i32.const 0) (i32.const 0)))))
        (local.set 1 (i32.mul (memory.grow (i32.const 164)) (i32.const 100)))
        (drop (call $exit (i32.add (i32.const 500) (i32.add (local.get 1) (memory.grow (i32.const 163))))
            (i32.const 0) (i32.const 0) (i32.const 0)))
        (i32.const 0)"""
    assert number < 128
    fields = FUNCTIONS + data(100, bytes((0, number)))
    module = guest(body, "vm.message_context", "vm.exit", "send.send", fields=fields, locals_="(local i32)")
    large = network.actors.create(network.actors.keep(module, name="large"), cbor=b"")
    assert network.machine.state_tree.lookup_id(large.address) == number
    receipt = sent(large, 8)
    assert receipt.exit_code == 500 - 100 + 1
    profile = network.profile(receipt.hash)
    assert profile.reproduced
    assert rows(profile)["method"][0] == 5


def test_profile_has_table_and_flame_graph(network: Network, actor: NativeActor, tmp_path: Path) -> None:
    profile = network.profile(sent(actor, 7).hash)
    lines = str(profile).splitlines()
    assert lines[2].endswith("busy: syscall vm::message_context")
    profile.save_flame(tmp_path / "profile.svg")
    assert "message_context" in (tmp_path / "profile.svg").read_text()
    with pytest.raises(InvalidInput, match=r"must be a \.svg or \.html file"):
        profile.save_flame(tmp_path / "profile.txt")


def test_a_transaction_without_native_actors_has_no_rows(network: Network) -> None:
    receipt = network.send(network.accounts[1].address, value=TokenAmount(1))
    assert "no native actor ran" in str(network.profile(receipt.hash)) or network.profile(receipt.hash).rows


@pytest.mark.slow
def test_profile_command_reads_node_or_state_folder(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        actor = network.actors.create(network.actors.keep(MODULE, name="busy"), cbor=b"")
        transaction = f"0x{sent(actor, 7).hash.hex()}"
        with serving(network) as url:
            asked = run("profile", transaction, "--rpc", url, "--flame", tmp_path / "p.html")
    read = run("profile", transaction, "--state", tmp_path / "chain")
    assert (asked.exit_code, read.exit_code) == (0, 0), asked.output + read.output
    assert "busy: syscall vm::message_context" in asked.stdout
    assert "busy: twice" in read.stdout
    assert (tmp_path / "p.html").read_text().count("<svg") == 1


@pytest.mark.parametrize(
    "found",
    [None, {}, [], {"gasUsed": 1, "reproduced": True, "rows": [5], "tree": []},
     {"gasUsed": "1", "reproduced": True, "rows": [], "tree": []},
     {"gasUsed": 1, "reproduced": True, "rows": [], "tree": [{"label": "x"}]}],
)  # fmt: skip
def test_invalid_profile_is_rejected(found: Any) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        check_profile(found)
