"""Functions and arguments in user input, compared with the Solidity ABI's examples and eth-abi."""

from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import is_encodable_type
from eth_abi.exceptions import ParseError
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import InvalidInput
from localnet.contracts.abi_entries import is_type
from localnet.contracts.argument_texts import as_plain, calldata_of, signature_interface, values


def plain(text: str) -> str:
    return text


@pytest.mark.parametrize(  # the examples of the Solidity ABI specification
    ("signature", "arguments", "calldata"),
    [
        ("baz(uint32,bool)", ["69", "true"], f"cdcd77c0{69:064x}{1:064x}"),
        ("bar(bytes3[2])", ["[0x616263,0x646566]"], "fce353f6" + "616263".ljust(64, "0") + "646566".ljust(64, "0")),
        (
            "sam(bytes,bool,uint[])",
            ["0x64617665", "true", "[1, 2, 3]"],
            f"a5643bf2{96:064x}{1:064x}{160:064x}{4:064x}"
            + "64617665".ljust(64, "0")
            + f"{3:064x}{1:064x}{2:064x}{3:064x}",
        ),
    ],
)
def test_calls_are_encoded_as_the_specification_has_them(signature: str, arguments: list[str], calldata: str) -> None:
    interface, name = signature_interface(signature)
    assert calldata_of(interface, name, arguments, plain).hex() == calldata


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("uint256", "0x10", 16),
        ("int8", "-5", -5),
        ("uint256", "1.5fil", 15 * 10**17),
        ("string", " as it is, ", " as it is, "),
        ("string[]", '["a,b", c]', ["a,b", "c"]),
        ("string[]", '["say \\"hi\\""]', ['say "hi"']),
        ("uint256[][2]", "[[1],[2,3]]", [[1], [2, 3]]),
        ("(uint256,(bool,string))[]", "[(1,(true,x)),(2,(false,\"y)\"))]", [(1, (True, "x")), (2, (False, "y)"))]),
        ("uint256[]", "[]", []),
        ("bytes", "0x", b""),
    ],
)  # fmt: skip
def test_values_are_read_by_their_types(kind: str, text: str, expected: Any) -> None:
    assert values([{"type": kind}], [text], plain) == [expected]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("uint256", ""), ("uint256", "five"), ("uint256", "1.5"), ("uint256", "9" * 200), ("bool", "1"),
        ("bytes", "12"),
        ("bytes", "0x1"), ("uint256[]", "1,2"), ("uint256[]", "[1"), ("uint256[]", "[1]]"), ("(uint256,bool)", "(1)"),
        ("string[]", '["x]'), ("uint256" + "[]" * 40, "[" * 40 + "]" * 40),
    ],
)  # fmt: skip
def test_value_not_matching_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidInput):
        values([{"type": kind}], [text], plain)


@pytest.mark.parametrize(
    "text", ["", "f", "f(", "f)", "(uint256)", "f(foo)", "f(uint7)", "f()()()", "1f()", "f(uint256", "f(((((", "f()x"]
)
def test_invalid_function_signature_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a function"):
        signature_interface(text)


def test_names_keywords_and_answers_may_be_there() -> None:
    interface, name = signature_interface("get((uint a, bytes32[2] b)[] calldata items) external view returns (int x)")
    (entry,) = interface.abi
    assert (name, entry["inputs"][0]["type"], entry["outputs"][0]["type"]) == (
        "get", "(uint256,bytes32[2])[]", "int256"
    )  # fmt: skip


def test_results_convert_to_lossless_json() -> None:
    assert as_plain((2**255, b"\x01", [True, "x", None])) == [str(2**255), "0x01", [True, "x", None]]


@given(st.text(max_size=40) | st.text('f(uint256,)[]" returnsview', max_size=40))
def test_any_text_is_a_function_or_is_refused(text: str) -> None:
    with suppress(InvalidInput):
        signature_interface(text)


@given(
    st.sampled_from(["uint256", "int8", "bytes4[]", "string[2]", "(uint256,(bool,string)[])[]", "address", "bool"]),
    st.text(max_size=40) | st.text('[](),"0x1a\\ ', max_size=40),
)
def test_any_text_is_a_value_or_is_refused(kind: str, text: str) -> None:
    with suppress(InvalidInput):
        values([{"type": kind}], [text], plain)


BASES = [
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (0, 7, 8, 16, 24, 136, 255, 256, 264)),
    *(f"bytes{size}" for size in ("", 0, 1, 9, 10, 19, 20, 29, 30, 31, 32, 33, "032")),
    "address", "bool", "string", "function", "uint", "int", "fixed128x18", "tuple", "bytes 4", "Uint8", "",
]  # fmt: skip


@pytest.mark.parametrize("dimensions", ["", "[]", "[1]", "[0]", "[01]", "[12345]", "[][3][]", "[", "[-1]", "[] "])
def test_type_recognition_matches_eth_abi(dimensions: str) -> None:
    for base in BASES:
        try:
            expected = is_encodable_type(base + dimensions)
        except (ParseError, ValueError):
            expected = False
        assert is_type(base + dimensions) == expected, base + dimensions
