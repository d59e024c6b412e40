"""Lines of calls, and amounts of money to the last attoFIL."""

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.text import show_fil
from localnet.traces.call_text import DEEPEST, MAX_CALLS, call_line, call_lines, tree_console
from localnet.traces.trace_report import explain_trace
from tests.localnet.traces import found, plain_call


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0"),
        (1, "0.000000000000000001 FIL"),
        (10**18, "1 FIL"),
        (15 * 10**17, "1.5 FIL"),
        (10 * 10**18, "10 FIL"),
        (-(10**17), "-0.1 FIL"),
        (1_234_567 * 10**18 + 1, "1234567.000000000000000001 FIL"),
        (123_456_789 * 10**18, "123456789 FIL"),
    ],
)
def test_money_is_shown_in_fil(amount: int, words: str) -> None:
    assert show_fil(amount) == words


@given(st.integers(-(10**30), 10**30).filter(bool))
def test_fil_formatting_preserves_every_atto(amount: int) -> None:
    number, unit = show_fil(amount).split()
    with localcontext(prec=60):
        assert Decimal(number) * 10**18 == amount
    assert unit == "FIL"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("wasm", "f01 init", "Exec", 0, 0, "", 1234567), "wasm f01 init Exec  value 0  exit 0  gas 1,234,567"),
        (("evm", "f0102 evm", "f()", 5, 33, "", 7),
         "evm  f0102 evm f()  value 0.000000000000000005 FIL  exit 33 EVM_CONTRACT_REVERTED  gas 7"),
        (("wasm", "f0104 counter", "Fail", 0, 42, "", 7), "wasm f0104 counter Fail  value 0  exit 42  gas 7"),
        (("", "f05 ", "Send", 0, 0, "NOT_FOUND", 7), "-    f05  Send  value 0  exit NOT_FOUND  gas 7"),
    ],
)  # fmt: skip
def test_a_call_is_one_line(fields: tuple[str, str, str, int, int, str, int], words: str) -> None:
    assert call_line(*fields).plain == words


def shown(calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    tree_console().print(call_lines(explain_trace(found(calls))["calls"]))
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_deep_call_tree_is_shown_completely(capsys: pytest.CaptureFixture[str]) -> None:
    call = plain_call()
    for _ in range(1024):
        call = {**call, "calls": [call]}
    lines = shown([call], capsys)
    assert len(lines) == 1025
    assert lines[0].startswith("wasm f0101 account Send()")
    assert all(line.endswith("value 0  exit 0  gas 7") for line in lines)


@pytest.mark.slow
def test_call_tree_shows_first_calls_and_counts_omitted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inner = plain_call(calls=[plain_call()])
    lines = shown([plain_call(calls=[inner] * MAX_CALLS)], capsys)
    assert len(lines) == MAX_CALLS + 1
    assert lines[-1] == f"... and {MAX_CALLS + 1:,} calls more, which --json has"


def test_contract_output_cannot_control_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"emitter": "f0101", "address": None, "entries": [
        {"flags": 3, "key": "\x1b[2J[red]\u202e\n", "codec": 0x55, "value": "0x01"},
    ]}  # fmt: skip
    lines = shown([plain_call(words="gone\x07\r\nexit 0", exitCode=20, events=[event])], capsys)
    assert lines[1].endswith(r"event \x1b[2J[red]\u202e\n=0x01")
    assert lines[2].endswith(r"-> gone\x07\r\nexit 0")
    assert len(lines) == 3


@pytest.mark.slow
def test_deep_calls_are_printed_with_depth(capsys: pytest.CaptureFixture[str]) -> None:
    deepest = 1_023
    call = {**plain_call(), "return": "0x05"}
    for _ in range(deepest):
        call = {**plain_call(), "calls": [call]}
    lines = [line for line in shown([call], capsys) if "gas" in line]
    assert len(lines) == deepest + 1
    assert max(map(len, lines)) < 400
    assert [line.partition("]")[0].rpartition("[")[2] for line in lines[DEEPEST + 1 :]] == [
        str(depth) for depth in range(DEEPEST + 1, deepest + 1)
    ]
    assert not any("[" in line.partition("f0")[0] for line in lines[: DEEPEST + 1])
