"""Trace reports: decoded calls, gas by part, the failing call, flame graphs."""

import re
import time
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import to_filecoin
from bridge.traces.flame import MAX_BOXES, FlameBox, flame_html, flame_svg
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from localnet import Network, TransactionFailed
from localnet.traces.console_log import CONSOLE, MAX_CHARACTERS, MAX_LINES, log_line, without_logs
from localnet.traces.trace_report import PART_OF, explain_trace, flame, gas_summary
from store.keccak import keccak
from tests.harness.paths import PROJECT
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.traces.lookup import found, plain_call
from tests.patience import slowness

SVG = "{http://www.w3.org/2000/svg}"
DATACAP, NAME, TRANSFER = 7, 48890204, 80475954


def evm_call(**changes: Any) -> dict[str, Any]:
    return plain_call(**{"runtime": "evm", "actor": "evm", "abi": True, "method": 3844450837} | changes)


def wrapped(data: bytes) -> str:
    """Revert data as InvokeEVM returns it: CBOR of a short byte string."""
    return f"0x58{len(data):02x}{data.hex()}"


def why(calls: list[dict[str, Any]], exit_code: int = 33) -> list[int]:
    path: list[int] = explain_trace(found(calls, exit_code))["why"]["path"]
    return path


# --- one object, from a receipt ---------------------------------------------------------------------------------------


def test_receipt_trace_decodes_contracts_deployed_by_network(network: Network) -> None:
    bridge = network.deploy(ARTIFACTS / "Bridge.json")
    trace = bridge.send("callNative", DATACAP, NAME, b"").trace
    outer, inner = str(trace).splitlines()[:2]
    assert re.match(r"evm  f0\d+ Bridge callNative\(actor=7, method=48890204, params=\)  value 0  exit 0  gas ", outer)
    assert "wasm f07 datacap Name()" in inner
    assert trace.failure_path == ()


def test_call_gas_is_sum_of_its_parts_and_subcalls(network: Network) -> None:
    bridge = network.deploy(ARTIFACTS / "Bridge.json")
    trace = bridge.send("callNative", DATACAP, NAME, b"").trace.report()
    calls = list(trace["calls"])
    for call in calls:
        calls += call["calls"]
        own = sum(call["decoded"]["milligas"].values())
        # each call's gas is rounded up from milligas
        assert abs(call["gas"] - own / 1000 - sum(below["gas"] for below in call["calls"])) <= 1 + len(call["calls"])
        assert "other" not in call["decoded"]["milligas"]
    assert len(calls) >= 2


def test_total_gas_is_all_calls_plus_message_inclusion(network: Network) -> None:
    bridge = network.deploy(ARTIFACTS / "Bridge.json")
    receipt = bridge.send("callNative", DATACAP, NAME, b"")
    trace = receipt.trace.report()
    parts = trace["milligas"]
    assert sum(parts.values()) == receipt.gas_used * 1000
    carried = network.machine.context.network.prices.message_inclusion(receipt.candidate.message.chain_length())
    assert 0 <= parts["message"] - carried < 1000  # the receipt's gas is rounded up
    assert gas_summary(trace).startswith(f"{next(iter(parts))} ")


def test_the_gas_of_a_call_that_ran_out_is_no_more_than_it_had(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    data = inbox.interface.encode_call("greet", "hi" * 200)
    enough = network.send(inbox, 0, data).gas_used
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 0, data, gas_limit=enough * 9 // 10)
    (call,) = failed.value.receipt.trace.report()["calls"]
    assert call["exitCode"] == 7
    assert sum(call["charges"].values()) <= 1000 * call["gas"]
    assert "out of gas" in failed.value.receipt.trace.failure_path[-1]


# --- why it failed ----------------------------------------------------------------------------------------------------


def test_every_named_gas_charge_belongs_to_a_part() -> None:
    """The names are read from the source; the charge for the message itself lies outside its calls."""
    names: set[str] = set()
    for package in ("hypervisor", "runtimes", "bridge"):
        for file in (PROJECT / package).rglob("*.py"):
            if not file.is_relative_to(PROJECT / "runtimes" / "evm" / "revm"):
                names.update(re.findall(r'charge\(\s*"(\w+)"', file.read_text(encoding="utf-8")))
    assert len(names) > 30
    assert names - {"OnChainMessage"} <= set(PART_OF)


def test_a_failure_below_the_border_is_pointed_to_across_it(network: Network) -> None:
    # The contract passes its calldata on to the precompile that calls actors, and reverts whatever comes back.
    code = bytes.fromhex("365f5f375f5f365f73fe000000000000000000000000000000000000055af45f5ffd")
    bold = network.send(None, 0, bytes.fromhex("602280600c5f395ff3000000") + code).contract_address
    assert bold is not None
    asked = encode(
        ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], [TRANSFER, 0, 0, 0x51, b"\x01", DATACAP]
    )
    with pytest.raises(TransactionFailed) as failed:
        network.send(bold, 0, asked, gas_limit=200_000_000)
    trace = failed.value.receipt.trace
    assert trace.report()["why"]["path"] == [0, 0]
    outer, inner = trace.failure_path
    assert ": exit 33 EVM_CONTRACT_REVERTED, the contract reverted" in outer
    assert inner.startswith("f07 datacap.Transfer: exit 21 USR_SERIALIZATION, parameters or state cannot be decoded")


def test_the_last_call_explains_a_failure_where_it_failed_too() -> None:
    deepest = evm_call(exitCode=33, calls=[plain_call(exitCode=18)])
    assert why([evm_call(exitCode=33, calls=[plain_call(), deepest])]) == [0, 1, 0]


def test_caught_failure_is_not_an_explanation() -> None:
    assert why([evm_call(exitCode=33, calls=[plain_call(exitCode=18), plain_call()])]) == [0]


def test_propagated_revert_is_found_before_successful_calls() -> None:
    data = wrapped(b"\xde\xad\xbe\xef")
    inner = evm_call(exitCode=33, **{"return": data})
    assert why([evm_call(exitCode=33, **{"return": data}, calls=[inner, plain_call()])]) == [0, 0]


@pytest.mark.parametrize("exit_code", [7, 34, 35, 39])
def test_a_contract_that_halts_by_itself_is_the_cause_itself(exit_code: int) -> None:
    assert why([evm_call(exitCode=exit_code, calls=[plain_call(exitCode=18)])], exit_code) == [0]


def test_a_check_of_the_compiler_is_the_contracts_own_failure() -> None:
    panic = wrapped(bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"))
    assert why([evm_call(exitCode=33, **{"return": panic}, calls=[plain_call(exitCode=18)])]) == [0]


def test_inner_out_of_gas_explains_outer_out_of_gas() -> None:
    assert why([evm_call(exitCode=7, calls=[plain_call(exitCode=7)])], 7) == [0, 0]


def test_failed_syscall_is_shown_by_error_name() -> None:
    report = explain_trace(found([plain_call(exitCode=20, calls=[plain_call(error="NOT_FOUND", to="f09")])], 20))
    assert report["why"]["calls"][-1].startswith("f09 account.Send: syscall error NOT_FOUND")


def test_trace_without_calls_is_explained_by_machine_message() -> None:
    trace = found([], 6) | {"words": "no money\x1b[0m"}
    assert explain_trace(trace)["why"] == {"path": [], "calls": [r"no money\x1b[0m"]}


# --- the flame view ---------------------------------------------------------------------------------------------------


def boxes(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}g"))


def test_flame_box_width_matches_gas_and_lies_below_caller() -> None:
    left, right = FlameBox("a", ("a",), 25, "wasm"), FlameBox("b", ("b",), 50, "evm", failed=True)
    outer, first, second = boxes(flame_svg("t", [FlameBox("top", ("top",), 100, "evm", inner=(left, right))], 200))
    rects = [group.find(f"{SVG}rect") for group in (outer, first, second)]
    widths = [float(rect.get("width", "")) for rect in rects if rect is not None]
    assert widths == [1180 / 2, 1180 / 8, 1180 / 4]
    lefts = [float(rect.get("x", "")) for rect in rects if rect is not None]
    assert lefts == [10, 10, 10 + 1180 / 8]
    tops = [float(rect.get("y", "")) for rect in rects if rect is not None]
    assert tops[0] < tops[1] == tops[2]
    assert [group.get("class") for group in (outer, first, second)] == [None, None, "failed"]


@given(st.text(), st.text(), st.text())
def test_untrusted_names_are_plain_text_in_flame_graph(title: str, label: str, detail: str) -> None:
    hostile = f"</title><script>alert(1)</script>{detail}"
    tag = f"<b>&{label}"[:100]
    (group,) = boxes(flame_svg(title, [FlameBox(tag, (hostile,), 7, label)], 7))
    shown, lettering = group.find(f"{SVG}title"), group.find(f"{SVG}text")
    assert shown is not None
    assert shown.text == printable(hostile)
    assert lettering is not None
    assert (lettering.text or "").startswith("<b>&")
    page = flame_html(title, [FlameBox(label, (hostile,), 7, "evm")], 7, [hostile])
    assert "<script" not in page


def test_flame_graph_loads_no_external_resources() -> None:
    page = flame_html("t", [FlameBox("a", ("a",), 7, "evm", cause=True)], 7, ["why"])
    assert re.findall(r"(?:src|href|url|import|@)[=(\s]", page) == []
    assert re.findall(r"https?://[^\"]*", page) == ["http://www.w3.org/2000/svg"]  # the name of a namespace


def test_the_cause_of_a_failure_stands_out_in_the_picture() -> None:
    inner = plain_call(exitCode=18, gas=3)
    trace = explain_trace(found([evm_call(exitCode=33, calls=[inner])], 33))
    assert [group.get("class") for group in boxes(flame(trace, html=False))] == ["failed", "failed cause"]
    assert "exit 18 USR_FORBIDDEN, the caller may not do this" in flame(trace, html=True)


@pytest.mark.slow
def test_flame_graph_of_100000_calls_has_bounded_size() -> None:
    leaf = plain_call(gas=1)
    trace = explain_trace(found([plain_call(gas=100_000, calls=[leaf] * 100_000)], gas=100_000))
    before = time.process_time()
    picture = flame(trace, html=False)
    assert time.process_time() - before < 10 * slowness()
    assert len(boxes(picture)) == 1
    assert "100,000 calls are too narrow to show" in picture
    chain = FlameBox("a", ("a",), 7, "evm")
    for _ in range(1023):
        chain = FlameBox("a", ("a",), 7, "evm", inner=(chain,))
    many = flame_svg("t", [chain] * 100, 700)
    assert len(boxes(many)) == MAX_BOXES
    assert f"{102_400 - MAX_BOXES:,} calls are too narrow" in many


@pytest.mark.slow
def test_a_flame_view_goes_into_a_file_by_its_name(network: Network, tmp_path: Path) -> None:
    trace = network.send(network.accounts[1], 5).trace
    for name, beginning in (("a.svg", "<svg "), ("a.html", "<!doctype html>")):
        trace.save_flame(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(beginning)
    with pytest.raises(InvalidInput, match=r"must be a \.svg or \.html file"):
        trace.save_flame(tmp_path / "a.png")


def test_receipt_without_network_has_no_trace(network: Network) -> None:
    network.send(network.accounts[1], 5)
    (receipt,) = network.chain.index.receipts(network.head)
    with pytest.raises(InvalidInput, match="does not belong to an open network"):
        _ = receipt.trace


def test_the_exit_code_of_a_failed_actor_call_is_named(network: Network) -> None:
    """The contract reverts with `Exit(18)`, and its interface is unknown."""
    code = f"63c9ed4577{'60e01b5f52'}6012600452{'60245ffd'}"
    reverter = network.accounts[9].address  # becomes a contract
    network.set_code(reverter, bytes.fromhex(code))
    with pytest.raises(TransactionFailed) as failed:
        network.send(reverter, gas_limit=10_000_000)
    assert "Exit(18 USR_FORBIDDEN)" in str(failed.value.receipt.trace)
    assert failed.value.receipt.trace.failure_path[-1].endswith("Exit(18 USR_FORBIDDEN)")


EXAMPLES = {
    "uint256": (7, "7"),
    "int256": (-7, "-7"),
    "string": ("hi", "hi"),
    "bool": (True, "true"),
    "address": ("0x" + "11" * 20, "0x" + "11" * 20),
    "bytes": (b"\x01\x02", "0x0102"),
}


PLAIN = ("uint256", "string", "bool", "address")
SIGNATURES = [
    *(f"log({','.join(types)})" for count in range(5) for types in product(PLAIN, repeat=count)),
    *(f"log({kind})" for kind in ("int256", "bytes", *(f"bytes{size}" for size in range(1, 33)))),
    "log(string,int256)",
]
"""Signatures of forge-std 1.16.1 by their rule: up to four simple values in any order, one value of another type,
and one pair. tests/soltests compares them with the library itself.
"""


def written(signature: str, values: list[object]) -> str:
    types = re.findall(r"[a-z0-9]+(?=[,)])", signature)
    return log_line(keccak(signature.encode())[:4] + encode(types, values))


def test_every_forge_std_console_signature_is_decoded() -> None:
    assert len(set(SIGNATURES)) == 376
    for signature in SIGNATURES:
        types = re.findall(r"[a-z0-9]+(?=[,)])", signature)
        chosen = [EXAMPLES.get(kind) or (bytes(int(kind[5:])), "0x" + "00" * int(kind[5:])) for kind in types]
        assert written(signature, [value for value, _ in chosen]) == " ".join(text for _, text in chosen)


@pytest.mark.parametrize(  # the selectors of Hardhat's older library, which was made of `uint`
    ("selector", "data", "line"),
    [("f5b1bba9", encode(["uint256"], [5]), "5"), ("9710a9d0", encode(["string", "uint256"], ["a", 5]), "a 5")],
)
def test_selectors_of_hardhats_older_library_are_decoded(selector: str, data: bytes, line: str) -> None:
    assert log_line(bytes.fromhex(selector) + data) == line


def test_format_specifiers_match_nodejs_console() -> None:
    signature = "log(string,uint256,string)"
    assert written(signature, ["%d of %s", 3, "it"]) == "3 of it"
    assert written(signature, ["100%% at %d:", 3, "it"]) == "100% at 3: it"
    assert written("log(string,bool)", ["%s %s", True]) == "true %s"


@pytest.mark.parametrize(  # what forge 1.7.1 writes for these
    ("types", "values", "line"),
    [
        ("uint256", ["%x", 255], "0xff"),
        ("int256", ["%x", -255], "0x" + "f" * 62 + "01"),
        ("uint256", ["%e", 1500], "1.5e3"),
        ("int256", ["%e", -1500], "-1.5e3"),
        ("uint256", ["%e", 0], "0e0"),
        ("bool", ["%d", True], "1"),
        ("string", ["%d", "str"], "NaN"),
        ("bool", ["%x", True], "NaN"),
        ("string", ["%o", "s"], "'s'"),
        ("bool", ["%o", True], "'true'"),
        ("address", ["%d", "0x" + "00" * 17 + "abcdef"], "NaN"),
        ("address", ["%x", "0x" + "00" * 17 + "abcdef"], "0x0000000000000000000000000000000000abcDeF"),
        ("address", ["%s", "0x" + "00" * 17 + "abcdef"], "0x0000000000000000000000000000000000abcDeF"),
        ("string", ["%z %s", "a"], "%z a"),
    ],
)
def test_console_log_format_specifiers_match_forge(types: str, values: list[object], line: str) -> None:
    assert written(f"log(string,{types})", values) == line


def test_doubled_percent_sign_is_one_without_arguments() -> None:
    assert written("log(string)", ["x%%"]) == "x%"
    assert written("log(string)", ["%s"]) == "%s"


@pytest.mark.parametrize(
    "data", [b"", b"\x01", bytes(4), bytes.fromhex("41304fac"), bytes.fromhex("41304fac") + b"\xff" * 32]
)
def test_non_log_data_is_shown_as_hex(data: bytes) -> None:
    assert log_line(data) == f"0x{data.hex()}"


def test_a_line_is_printable_and_bounded() -> None:
    line = written("log(string)", ["\x1b[2Jx\n" + "y" * 100_000])
    assert "\x1b" not in line
    assert "\n" not in line
    assert len(line) < MAX_CHARACTERS + 100


def test_number_of_console_lines_that_are_left_out_is_stated() -> None:
    call = {"to": str(to_filecoin(CONSOLE)), "params": "0x", "paramsCodec": 0, "calls": []}
    _, lines = without_logs([call] * (MAX_LINES + 2))
    assert (len(lines), lines[-1]) == (1_001, "... 2 more lines are left out")
