"""Opcodes newer than the grammar's statements, with the numbers of words that they pop and push.

An opcode's table row does not state its inputs, so the plain engine is run with increasing stack sizes until it does
not underflow. A new opcode in a table of rules is therefore drawn by the grammars at once.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from runtimes.evm.code import analyse
from runtimes.evm.engine import EngineRules, Frame, FrameOutcome, Status
from runtimes.evm.engines import PLAIN_ENGINE, engine_factory
from runtimes.evm.ethereum.forks import FORKS, LATEST_FORK
from tests.runtimes.evm.fake_host import CALLER, MYSELF, RULES, FakeHost

_KNOWN: Final = frozenset(opcode.name for opcode in FORKS["Cancun"].opcodes.values())
"""Opcodes that the grammar's statements use."""
_MAX: Final = 7
"""Maximum number of stack words that an opcode pops."""
SAME_SHAPE: Final = ("PC", "NOT", "ADD", "ADDMOD")
"""Replacements for an expression's opcode of N operands that the rules do not have."""


def newer_names(rules: Any) -> tuple[str, ...]:
    """Names of a table's opcodes that the oldest fork does not have."""
    return tuple(opcode.name for opcode in rules.opcodes.values() if opcode.name not in _KNOWN)


@cache
def newer_operators(ethereum: bool) -> Mapping[str, int]:
    """Return operators of a family's newest rules with one result and N operands, by name; N has a `SAME_SHAPE`."""
    rules: EngineRules = LATEST_FORK if ethereum else RULES
    shapes = {name: shape(rules, name) for name in newer_names(rules)}
    return MappingProxyType({name: takes for name, (takes, leaves) in shapes.items() if leaves == 1 and takes < 4})


def shape(rules: EngineRules, name: str) -> tuple[int, int]:
    """Return the words that an opcode pops and pushes; (8, 0) if it leaves the frame or ends it."""
    (number,) = (number for number, opcode in rules.opcodes.items() if opcode.name == name)
    for takes in range(_MAX + 1):
        if _ends_well(rules, b"\x5f" * takes + bytes([number])):
            leaves = 0
            while _ends_well(rules, b"\x5f" * takes + bytes([number]) + b"\x50" * (leaves + 1)):
                leaves += 1
            return takes, leaves
    return _MAX + 1, 0


def _ends_well(rules: EngineRules, code: bytes) -> bool:
    frame = Frame(rules, analyse(code), b"", CALLER, MYSELF, 0, False)
    step = engine_factory(PLAIN_ENGINE, rules)().start(frame, FakeHost())
    return isinstance(step, FrameOutcome) and step.status is Status.SUCCESS


def lacks_some(rules: EngineRules) -> bool:
    """Return True if a grammar of any family uses operators that the rules do not have."""
    return bool(_unknown(rules))


def known_only(words: str, rules: EngineRules) -> str:
    """Return a program's words with unsupported operators replaced by others of the same shape."""
    for name, takes in _unknown(rules).items():
        words = words.replace(f" {name}", f" {SAME_SHAPE[takes]}")
    return words


def _unknown(rules: EngineRules) -> dict[str, int]:
    names = {opcode.name for opcode in rules.opcodes.values()}
    every = {**newer_operators(False), **newer_operators(True)}
    return {name: takes for name, takes in every.items() if name not in names}
