"""Bearer tokens and their rights, in a file that the node reads at its start.

As in Lotus (api/permissioned.go), a right includes the lower ones, and a request without a token may read.
"""

from __future__ import annotations

import re
import secrets
from enum import IntEnum
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput


class Right(IntEnum):
    """Permission of a client: to read, to send and sign transactions, or to control the node."""

    READ = 1
    WRITE = 2
    ADMIN = 3


_ADMIN: Final = re.compile(r"(anvil|debug|erigon|evm|hardhat|hypervisor|personal|tenderly)_|Filecoin\.AuthNew")
_WRITE: Final = re.compile(r"eth_(send|sign)|Filecoin\.(Mpool(Batch)?Push|WalletSign)")
_LEAST: Final = 16
"""Minimum length of a token."""


@cache
def right_for(method: str) -> Right:
    """Return the right that a method requires, by its own name."""
    return Right.ADMIN if _ADMIN.match(method) else Right.WRITE if _WRITE.match(method) else Right.READ


class Tokens:
    """The tokens of a file. Each of its lines is TOKEN RIGHT NAME; `#` begins a comment."""

    def __init__(self, file: Path) -> None:
        """Read the file. Raises InvalidInput and OSError."""
        self._file = file
        self._known: dict[str, tuple[Right, str]] = {}
        for number, line in enumerate(file.read_text().splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 3 or words[1].upper() not in Right.__members__ or len(words[0]) < _LEAST:
                raise InvalidInput(
                    f"{file}, line {number}: expected TOKEN RIGHT NAME, with a token of {_LEAST} characters or more "
                    "and one of the rights read, write and admin"
                )
            self._known[words[0]] = Right[words[1].upper()], words[2]

    def find(self, token: str) -> tuple[Right, str] | None:
        """Return right and name of a token; None if it is unknown."""
        return self._known.get(token)

    def create(self, right: Right) -> str:
        """Create a token, and write it to the file. Raises OSError."""
        token = secrets.token_urlsafe(32)
        used = {name for _, name in self._known.values()}
        name = next(name for number in count(len(self._known) + 1) if (name := f"auth-{number}") not in used)
        is_cut = not self._file.read_text().endswith("\n")
        with self._file.open("a") as file:
            file.write(f"{chr(10) * is_cut}{token} {right.name.lower()} {name}\n")
        self._known[token] = right, name
        return token
