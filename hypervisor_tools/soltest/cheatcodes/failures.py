"""Failures of cheatcodes as revert data, with forge's wording, and limits of sizes.

ABI strings in canonical form are converted here, without eth_abi, which takes a sixth of a second to load; it handles
the other values. The limits on the input and output of cheatcodes keep a test from exhausting memory: the memory that
a frame can pay for with forge's gas limit (2^30) is below 24 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bridge.ethereum.reverts import panic_text
from hypervisor.exit_codes import ExitCode

_WORD: Final = 32


def read_text(data: bytes, index: int, count: int) -> bytes | None:
    """Return the bytes or string at `index` of `count` values with one head word each.

    None if it is truncated or overlaps the head: eth_abi then decides.
    """
    start = int.from_bytes(data[index * _WORD : (index + 1) * _WORD], "big")
    begin = start + _WORD
    if start < count * _WORD or len(data) < begin:
        return None
    end = begin + int.from_bytes(data[start:begin], "big")
    return data[begin:end] if end <= len(data) else None


def write_text(data: bytes) -> bytes:
    """Return the length of bytes or UTF-8 text, its content, and zeros up to a whole word."""
    return len(data).to_bytes(_WORD, "big") + data + bytes(-len(data) % _WORD)


CHEATCODE_ERROR: Final = bytes.fromhex("eeaa9e6f")
"""Selector of `CheatcodeError(string)`."""
ERROR: Final = bytes.fromhex("08c379a0")
PANIC: Final = bytes.fromhex("4e487b71")
_OFFSET: Final = (32).to_bytes(32, "big")
"""Offset of a single dynamic value."""
_ASSERTION: Final = b"assertion failed"
_ASSERT_PANIC: Final = (1).to_bytes(32, "big")
MAGIC_ASSUME: Final = b"FOUNDRY::ASSUME"
MAGIC_SKIP: Final = b"FOUNDRY::SKIP"
UNSUPPORTED: Final = "the session of Ethereum's rules cannot run this call; see the limits in docs/cheatcodes.md"
"""Reason of a call that fails because it uses what is not supported."""

KnownErrors = Callable[[bytes], str | None]
"""Decodes custom errors to text; None if no interface declares the error."""


class CheatcodeFailure(Exception):
    """Raised if a cheatcode fails, with a message or exact revert data."""

    def __init__(self, message: str, data: bytes | None = None, named: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.named = named
        """True if the message is prefixed with the cheatcode's name."""


def failure_data(message: str, error: bytes = CHEATCODE_ERROR) -> bytes:
    """Return the revert data of a failed cheatcode, or the data of an error with another selector."""
    return error + _OFFSET + write_text(message.encode())


def no_selector(interface: str, data: bytes) -> str:
    """Return forge's message for calldata that is shorter than a selector."""
    return f'type check failed for "{interface}" with data: {data.hex()}'


def _text(data: bytes) -> bytes | None:
    found = read_text(data, 0, 1)
    if found is not None:
        return found
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        cut: bytes = decode(["bytes"], data, strict=False)[0]
    except (DecodingError, OverflowError):
        return None
    return cut


def is_assertion(data: bytes) -> bool:
    """Return True if revert data is that of a failed assertion, by forge's rules."""
    if data[:4] == PANIC:
        return data[4:] == _ASSERT_PANIC
    text = unwrap_error(data) if data[:4] in (ERROR, CHEATCODE_ERROR) else b""
    return text.startswith(_ASSERTION) or (data[:4] == ERROR and _ASSERTION in text)


def unwrap_error(data: bytes) -> bytes:
    """Return the message of an `Error(string)` or a cheatcode's failure; other data unchanged."""
    if data[:4] in (ERROR, CHEATCODE_ERROR):
        text = _text(data[4:])
        return data if text is None else text
    return data


HALTS: Final[Mapping[int, str]] = {
    ExitCode.SYS_OUT_OF_GAS: "OutOfGas",
    ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION: "InvalidFEOpcode",
    ExitCode.EVM_CONTRACT_UNDEFINED_INSTRUCTION: "OpcodeNotFound",
    ExitCode.EVM_CONTRACT_STACK_UNDERFLOW: "StackUnderflow",
    ExitCode.EVM_CONTRACT_STACK_OVERFLOW: "StackOverflow",
    ExitCode.EVM_CONTRACT_BAD_JUMPDEST: "InvalidJump",
    ExitCode.USR_READ_ONLY: "StateChangeDuringStaticCall",
}
"""Names of halts without data in forge's `EvmError`."""


def revert_text(data: bytes, known: KnownErrors = lambda _: None) -> str:
    """Return revert data as text, in forge's wording."""
    if len(data) < 4:
        return data.decode() if data and data.isascii() else "EvmError: Revert"
    if data[:4] in (ERROR, CHEATCODE_ERROR):
        text = _text(data[4:])
        if text is not None:
            return text.decode("utf-8", "replace")
    if data[:4] == PANIC and len(data) == 36:
        code = int.from_bytes(data[4:], "big")
        return panic_text(code)
    message = known(data)
    if message is not None:
        return message
    text = _text(data)
    if text is not None and text.isascii() and data[:32] == _OFFSET:
        return text.decode()
    if data.isascii():
        return data.decode()
    name, rest = f"custom error 0x{data[:4].hex()}", data[4:]
    try:
        return f"{name}: {rest.decode()}" if rest else name
    except UnicodeDecodeError:
        return f"{name}: {rest.hex()}"


MAX_BYTES: Final = 16 << 20
"""Maximum size of decoded arguments and of return data in bytes: a word per value and length, and the texts."""
MAX_STORED: Final = 256 << 20
"""Maximum total size in bytes of calldata to cheatcodes that store their input, per test."""
MAX_TYPE_LENGTH: Final = 1 << 14
"""Maximum number of characters of a type description, with structs expanded."""


def check_size(size: int, what: str = "the return data", limit: int = MAX_BYTES) -> None:
    """Raise CheatcodeFailure if a size in bytes exceeds the limit."""
    if size > limit:
        raise CheatcodeFailure(f"{what} exceeds the limit of {limit} bytes")


def check_type(description: str) -> str:
    """Return a type description. Raises CheatcodeFailure if it is too long."""
    if len(description) > MAX_TYPE_LENGTH:
        raise CheatcodeFailure(f"the type is longer than {MAX_TYPE_LENGTH} characters")
    return description


def check_values(values: Any) -> None:
    """Raise CheatcodeFailure for values whose encoding would exceed the limit."""
    left, size = [values], _WORD
    while left:
        value = left.pop()
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            size += _WORD * len(value)
            left += [item for item in value if not isinstance(item, int)]
        elif isinstance(value, bytes | str):
            size += len(value)
        check_size(size)
