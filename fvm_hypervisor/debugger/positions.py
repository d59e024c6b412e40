"""Positions in an execution, and the record of marks that supports reverse stepping.

A mark is the start or the end of a call, or a syscall. Marks are numbered from 1. Instructions are numbered from 1 in
each contract frame; the numbering continues across marks. Both numbers are identical whenever the message is executed
again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class MarkKind(Enum):
    """Kind of event that a mark records."""

    CALL = "call"
    RETURN = "return"
    SYSCALL = "syscall"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position after mark `mark`, just before instruction `number` of the call's frame.

    With `number` 0, the mark itself.
    """

    mark: int
    number: int = 0
    call: int = field(default=0, compare=False)
    """Number of the running call; calls are numbered from 0 in the order in which they start."""


@dataclass(frozen=True, slots=True)
class RunningCall:
    """The running call and how many of its instructions have started.

    `call` is -1 before the first call and after the last.
    """

    call: int = -1
    started: int = 0


NOTHING: Final = RunningCall()


@dataclass(frozen=True, slots=True)
class ExecutionMark:
    """A mark, with the running call before and after it. At a RETURN mark, `call` is the call that ends."""

    kind: MarkKind
    call: int
    before: RunningCall
    after: RunningCall


class MarkRecord:
    """The marks of an execution so far."""

    def __init__(self) -> None:
        self.marks: list[ExecutionMark] = []
        self.parents: list[int] = []
        """The caller of each call; -1 for the first one."""
        self.begins: list[int] = []
        """Number of the mark at which each call starts."""

    def add(self, mark: ExecutionMark, parent: int = -1) -> None:
        self.marks.append(mark)
        if mark.kind is MarkKind.CALL:
            self.parents.append(parent)
            self.begins.append(len(self.marks))

    def at(self, mark: int) -> ExecutionMark:
        """Return the mark with a number, starting at 1."""
        return self.marks[mark - 1]

    def before(self, position: Position) -> Position | None:
        """Return the position one step before `position`, in any call; None at the first mark."""
        if position.number:
            after = self.at(position.mark).after
            if after.call != position.call or position.number - 1 > after.started:
                return Position(position.mark, position.number - 1, position.call)
            return self.of_mark(position.mark)
        if position.mark <= 1:
            return None
        running, previous = self.at(position.mark).before, self.at(position.mark - 1).after
        if running.started > (previous.started if previous.call == running.call else 0):
            return Position(position.mark - 1, running.started, running.call)
        return self.of_mark(position.mark - 1)

    def of_mark(self, mark: int) -> Position:
        return Position(mark, 0, self.at(mark).call)

    def over_before(self, position: Position) -> Position | None:
        """Return the reverse step-over target: the previous position in the same call.

        At the call's start, the position in its caller.
        """
        if position.number > 1:
            return self.of_instruction(position.call, position.number - 1, position.mark)
        if position.number == 1:
            return self.of_mark(self.begins[position.call])
        here = self.at(position.mark)
        if here.kind is MarkKind.CALL:
            return self.caller(position.call)
        if here.before.started:
            return self.of_instruction(position.call, here.before.started, position.mark - 1)
        return self._own_mark(position.call, position.mark)

    def _own_mark(self, call: int, before: int) -> Position:
        """Return the newest mark of a call before mark `before`: a syscall or the call's start."""
        marks = range(before - 1, self.begins[call] - 1, -1)
        return self.of_mark(next(mark for mark in marks if self.at(mark).call == call))

    def caller(self, call: int) -> Position | None:
        """Return the position of the instruction or syscall that made the call; None for the message itself."""
        start = self.begins[call]
        made = self.at(start).before
        if made.call < 0:
            return None
        if made.started:
            return self.of_instruction(made.call, made.started, start - 1)
        return self._own_mark(made.call, start)

    def of_instruction(self, call: int, number: int, latest: int) -> Position:
        """Return the position of a call's instruction. Searches its mark backwards from mark `latest`."""
        for mark in range(latest, self.begins[call], -1):
            after = self.at(mark).after
            if after.call == call and after.started < number:
                return Position(mark, number, call)
        return Position(self.begins[call], number, call)
