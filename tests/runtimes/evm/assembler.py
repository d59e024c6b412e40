"""Bytecode and revert data for tests.

- Assembler for test programs: bytecode from mnemonics.
- Revert data of Solidity errors, encoded with eth-abi.
"""

from typing import Any

from eth_abi.abi import encode as abi_encode

from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS as FILECOIN
from runtimes.evm.forks.forks import LATEST_FORK
from store.keccak import keccak

NUMBERS = {**FILECOIN, **{opcode.name: number for number, opcode in LATEST_FORK.opcodes.items()}}
"""Opcodes of Filecoin's and Ethereum's rules by name."""


def assemble(text: str) -> bytes:
    """Return the bytes of a program: mnemonics and numbers separated by blanks; a number is pushed in minimal length.

    `name:` marks a JUMPDEST, `@name` pushes its position (always two bytes); `;` starts a comment.
    """
    words = [word for line in text.splitlines() for word in line.split(";")[0].split()]
    places: dict[str, int] = {}
    sizes = 0
    for word in words:
        if word.endswith(":"):
            places[word[:-1]] = sizes
        sizes += len(_encode(word, {}))
    return b"".join(_encode(word, places) for word in words)


def _encode(word: str, places: dict[str, int]) -> bytes:
    if word.endswith(":"):
        return bytes([NUMBERS["JUMPDEST"]])
    if word.startswith("@"):
        return bytes([NUMBERS["PUSH2"]]) + places.get(word[1:], 0).to_bytes(2, "big")
    if word in NUMBERS:
        return bytes([NUMBERS[word]])
    number = int(word, 0)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([NUMBERS["PUSH0"] + len(data)]) + data


def deployer(runtime: bytes) -> bytes:
    """Return init code that returns `runtime` as the contract's code."""
    copy = assemble(f"{len(runtime)} 0x0b 0 CODECOPY {len(runtime)} 0 RETURN")
    # the offset of the code is the length of this head, which depends on the length of its own numbers
    for _ in range(3):
        copy = assemble(f"{len(runtime)} {len(copy)} 0 CODECOPY {len(runtime)} 0 RETURN")
    return copy + runtime


def returned_word(expression: str) -> bytes:
    """Return a program that returns the word that `expression` leaves on the stack."""
    return assemble(f"{expression} 0 MSTORE 32 0 RETURN")


def error_data(signature: str, *arguments: Any) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(signature.encode())[:4] + abi_encode(types, arguments)
