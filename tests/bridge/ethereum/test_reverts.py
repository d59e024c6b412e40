"""Formatting of revert data without the contract's interface."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.reverts import error_text, exit_error, revert_reason, reverted_with
from tests.bridge.errors import error_data

# The Solidity documentation's example: revert("Not enough Ether provided.").
DOCUMENTED = bytes.fromhex(
    "08c379a0"
    "0000000000000000000000000000000000000000000000000000000000000020"
    "000000000000000000000000000000000000000000000000000000000000001a"
    "4e6f7420656e6f7567682045746865722070726f76696465642e000000000000"
)


def test_solidity_documentation_example_is_formatted() -> None:
    assert error_text(DOCUMENTED) == "Not enough Ether provided."
    assert revert_reason(DOCUMENTED) == "Error(Not enough Ether provided.)"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "none"),
        (error_data("Error(string)", "not enough"), "Error(not enough)"),
        (error_data("Error(string)", ""), "Error()"),
        (error_data("Panic(uint256)", 0x01), "Assert()"),
        (error_data("Panic(uint256)", 0x11), "ArithmeticOverflow()"),
        (error_data("Panic(uint256)", 0x12), "DivideByZero()"),
        (error_data("Panic(uint256)", 0x99), "Panic(0x99)"),
        (bytes.fromhex("deadbeef"), "0xdeadbeef"),
        # Truncated, or with a length beyond the end: formatted in hex.
        (error_data("Error(string)", "abc")[:40], "0x" + error_data("Error(string)", "abc")[:40].hex()),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "0x08c379a0" + "ff" * 64),
    ],
)
def test_revert_data_is_formatted(data: bytes, words: str) -> None:
    assert revert_reason(data) == words


@given(st.text(max_size=100))
def test_the_text_of_an_error_is_read_whole(text: str) -> None:
    assert error_text(error_data("Error(string)", text)) == text


def test_bytes_that_are_no_text_are_replaced() -> None:
    data = DOCUMENTED.replace(b"Ether", b"\xff\xfe\xfd\xfc\xfb")
    assert error_text(data) == "Not enough \ufffd\ufffd\ufffd\ufffd\ufffd provided."


@given(st.binary(max_size=200))
def test_garbage_behind_the_selector_is_shown_as_it_is(body: bytes) -> None:
    data = DOCUMENTED[:4] + body
    text = error_text(data)
    assert revert_reason(data) == (f"0x{data.hex()}" if text is None else f"Error({text})")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", None),
        (error_data("Error(string)", "not enough"), "not enough"),
        (error_data("Error(string)", ""), ""),
        (bytes.fromhex("de"), "custom error bytes 0xde"),
        (bytes.fromhex("deadbeef"), "custom error 0xdeadbeef"),
        (bytes.fromhex("deadbeeffe"), "custom error 0xdeadbeef: fe"),
        (bytes.fromhex("4e487b71ffffffff"), "custom error 0x4e487b71: ffffffff"),
        *(
            (error_data("Panic(uint256)", code), words)
            for code, words in {
                0x00: "panic: generic/unspecified error (0x00)",
                0x01: "panic: assertion failed (0x01)",
                0x11: "panic: arithmetic underflow or overflow (0x11)",
                0x12: "panic: division or modulo by zero (0x12)",
                0x21: "panic: failed to convert value into enum type (0x21)",
                0x22: "panic: storage byte array incorrectly encoded (0x22)",
                0x31: "panic: called `.pop()` on an empty array (0x31)",
                0x32: "panic: array out-of-bounds access (0x32)",
                0x41: "panic: memory allocation error (0x41)",
                0x51: "panic: called an invalid internal function (0x51)",
                0x99: "panic: unknown code (0x99)",
            }.items()
        ),
    ],
)
def test_revert_data_in_anvils_words(data: bytes, words: str | None) -> None:
    """Compare with anvil 1.7.1's response to eth_call of a contract that reverts with its calldata."""
    assert reverted_with(data) == words


_FORBIDDEN = f"{18:064x}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f"c9ed4577{_FORBIDDEN}", "Exit(18 USR_FORBIDDEN)"),
        (f"c9ed4577{77:064x}", "Exit(77)"),
        (f"c9ed4577{33:064x}", "Exit(33)"),
        (f"c9ed4577{(1 << 256) - 6:064x}", "Exit(-6 NOT_FOUND)"),
        (f"c9ed4577{(1 << 256) - 99:064x}", "Exit(-99)"),
        (f"d4bb6671{_FORBIDDEN}", "ActorError(18 USR_FORBIDDEN)"),
        (f"486029fd{_FORBIDDEN}{64:064x}{13:064x}{b'USR_FORBIDDEN'.hex():0<64}", "NonZeroExitCode(18 USR_FORBIDDEN)"),
        (f"c9ed4577{1 << 32:064x}", None),
        (f"c9ed4577{_FORBIDDEN}00", None),
        ("c9ed4577", None),
        ("08c379a0", None),
        ("", None),
    ],
)
def test_exit_codes_of_actors_are_named(data: str, words: str | None) -> None:
    """Selectors by `cast sig`, exit codes by the FVM's specification."""
    assert exit_error(bytes.fromhex(data)) == words
