"""Lines of `console.log`, for every signature of forge-std's library."""

import re
from itertools import product

import pytest
from eth_abi.abi import encode

from localnet.traces.console_log import MAX_CHARACTERS, log_line
from store.keccak import keccak

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
