"""Exploration of all paths of a call, depth first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import z3

from fvm_hypervisor.soltest.symbolic.calls import CALL_HANDLERS, finish
from fvm_hypervisor.soltest.symbolic.opcodes import HANDLERS, push, run_simple
from fvm_hypervisor.soltest.symbolic.path import Dead, Fork, Halt, Path
from fvm_hypervisor.soltest.symbolic.solver import OutOfBudget
from fvm_hypervisor.soltest.symbolic.words import NotModelled
from fvm_hypervisor.soltest.symbolic_settings import SymbolicSettings

_JUMPI: Final = 0x57
INVALID: Final = "INVALID"
"""Reason of a halt by the opcode INVALID, by which old compilers assert."""
_ALL: Final = {**HANDLERS, **CALL_HANDLERS}
_TIME_STEPS: Final = 256
"""Number of instructions between two checks of the time."""


@dataclass(slots=True)
class Explorer:
    """Runs paths until all have ended. `undecided` counts the reasons why paths could not be decided."""

    settings: SymbolicSettings
    undecided: Counter[str] = field(default_factory=Counter)
    paths: int = 0
    _todo: list[Path] = field(default_factory=list)

    def run(self, start: Path) -> Iterator[Path]:
        """Yield the paths whose outermost frame has ended. Other paths are counted in `undecided`, or dead."""
        self._todo = [start]
        while self._todo:
            path = self._todo.pop()
            try:
                ended = self._run_path(path)
            except NotModelled as reason:
                self.undecided[str(reason)] += 1
                self.paths += 1
                continue
            except z3.Z3Exception as error:  # such as too little memory
                self.undecided[f"the solver failed: {error}"] += 1
                continue
            except Dead:
                continue
            except OutOfBudget:
                self.undecided[f"the time limit of {self.settings.seconds:g} seconds (--symbolic-timeout)"] += 1
                return
            if ended:
                self.paths += 1
                yield path
            if self.paths + len(self._todo) > self.settings.paths:
                self.undecided[f"more than {self.settings.paths} paths (--symbolic-paths)"] += 1
                return

    def _run_path(self, path: Path) -> bool:
        """Run a path to its end; return False if it was replaced by others."""
        while path.frames:
            path.steps += 1
            if path.steps > self.settings.steps:
                raise NotModelled(f"a path of more than {self.settings.steps} instructions")
            if path.steps % _TIME_STEPS == 0:
                path.solver.check_time()
            try:
                step(path)
            except Fork as fork:
                self._fork(path, fork)
                return False
            except Halt as halt:
                path.halted = str(halt) if len(path.frames) == 1 else ""
                finish(path, False, ())
        return True

    def _fork(self, path: Path, fork: Fork) -> None:
        frame = path.frame
        if frame.code.data[frame.pc] == _JUMPI:
            decided = frame.branches.get(frame.pc, 0) + 1
            if decided > self.settings.loop:
                raise NotModelled(f"a loop of more than {self.settings.loop} iterations (--symbolic-loop)")
            frame.branches[frame.pc] = decided
        self._todo += [path.with_decision(fork, side) for side in (False, True)]


def step(path: Path) -> None:
    """Execute one instruction. Raises Fork without any effect, Halt, Dead, NotModelled."""
    frame = path.frame
    at = frame.pc
    opcode: Any = frame.code.data[at] if at < len(frame.code.data) else 0
    if not isinstance(opcode, int):
        raise NotModelled("code with a symbolic opcode")
    name = path.start.opcodes.get(opcode)
    if name is None:
        raise Halt(INVALID if opcode == 0xFE else f"the invalid opcode {opcode:#04x}")
    if run_simple(path, opcode):
        return
    row = _ALL.get(opcode)
    if row is None:
        raise NotModelled(f"the opcode {name}")
    size, handler = row
    stack = frame.stack
    if len(stack) < size:
        raise Halt("stack underflow")
    operands = stack[-size:] if size else []
    if size:
        del stack[-size:]
    frame.pc = at + 1
    try:
        word = handler(path, *reversed(operands))
    except Fork:
        stack.extend(operands)
        frame.pc = at
        raise
    path.decisions.clear()
    if word is not None:
        push(path, word)
