"""The line of a call, and amounts of money to the last attoFIL."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtools.call_tree import call_line, show_fil, tree_console
from devtools.cli.trace import _tree


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
def test_no_atto_is_lost(amount: int) -> None:
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


def test_no_call_is_too_deep_to_be_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    call: dict[str, Any] = {
        "runtime": "wasm", "from": "f0100", "to": "f0101", "address": None, "actor": "account", "method": 0,
        "value": "0", "params": "0x", "paramsCodec": 0, "readOnly": False, "exitCode": 0, "error": "", "words": "",
        "return": "0x", "returnCodec": 0, "gas": 7, "events": [], "calls": [],
    }  # fmt: skip
    for _ in range(1024):
        call = {**call, "calls": [call]}
    tree_console().print(_tree([call], []))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1025
    assert lines[0].startswith("wasm f0101 account Send()")
    assert all(line.endswith("value 0  exit 0  gas 7") for line in lines)
