"""Globs of paths, as forge reads them.

Source: foundry, crates/config/src/filter.rs, with the syntax of the crate globset. A glob is matched with the set of
states that its automaton can be in, so the time is at most the product of the two lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidInput

_MAX_GLOB: Final = 1_000
_TOKEN: Final = re.compile(
    r"""\\.|(?P<set>\[[!^]?+\]?+[^\]]*\])|(?P<above>(?:^|(?<=[{,]))\*\*/)|(?P<between>/\*\*/)|(?P<below>/\*\*(?=$|[,}]))
    |(?P<any>\*+)|(?P<one>\?)|(?P<open>{)|(?P<close>})|(?P<or>,)|.""",
    re.DOTALL | re.VERBOSE,
)


def fits(path: str, glob: str) -> bool:
    """Return True if a path in the project matches a glob, or its file name contains it. Raises InvalidInput."""
    return _automaton(glob.removeprefix("./")).matches(path) or glob in path.rpartition("/")[2]


def in_project(glob: str | None, root: Path) -> str | None:
    """Return a glob of absolute paths below the root as one of paths in the project, and others as they are."""
    return None if glob is None else glob.removeprefix(f"{root.as_posix()}/")


class _Automaton:
    """States from 0 to the newest, which accepts. A state has either links, which need no character, or a step."""

    def __init__(self) -> None:
        self._links: list[list[int]] = [[]]
        self._steps: dict[int, tuple[re.Pattern[str], int]] = {}
        self._after = lru_cache(1_000)(self._follow)

    @property
    def newest(self) -> int:
        return len(self._links) - 1

    def add(self, *before: int) -> int:
        """Add a state that others are linked to."""
        self._links.append([])
        for state in before:
            self._links[state].append(self.newest)
        return self.newest

    def one(self, expression: str) -> None:
        """Accept a character."""
        self._steps[self.newest] = re.compile(expression, re.DOTALL), self.newest + 1
        self.add()

    def any(self) -> None:
        """Accept any characters."""
        loop = self.add(self.newest)
        self._steps[loop] = re.compile(".", re.DOTALL), loop
        self.add(loop)

    def folders(self) -> None:
        """Accept nothing, or any characters and a slash."""
        start = self.newest
        self.any()
        self.one("/")
        self._links[start].append(self.newest)

    def matches(self, text: str) -> bool:
        """Return True if the whole text is accepted."""
        states = self._reached([0])
        for char in text:
            states = self._after(states, char)
        return states >> self.newest == 1

    def _follow(self, states: int, char: str) -> int:
        """Return the states after a character. Bit N stands for state N."""
        steps = ((target, pattern) for state, (pattern, target) in self._steps.items() if states >> state & 1)
        return self._reached(target for target, pattern in steps if pattern.match(char))

    def _reached(self, states: Iterable[int]) -> int:
        """Return states and those that they are linked to."""
        reached, todo = 0, list(states)
        while todo:
            state = todo.pop()
            if not reached >> state & 1:
                reached |= 1 << state
                todo += self._links[state]
        return reached


@lru_cache
def _automaton(glob: str) -> _Automaton:
    """Return the automaton of a glob: `*`, `?`, `**/`, `[a-z]`, `[!a]`, `{a,b}` and escapes."""
    if len(glob) > _MAX_GLOB:
        raise InvalidInput(f"a glob has {len(glob)} characters, at most {_MAX_GLOB} are allowed")
    made, braces = _Automaton(), list[tuple[int, list[int]]]()
    for token in _TOKEN.finditer(glob):
        kind, text = token.lastgroup or "", token[0]
        if text == "[":
            raise InvalidInput(f"the glob '{glob}' has a '[' without ']': write [[] for the character itself")
        if kind == "set":
            made.one(_set(glob, text))
        elif kind == "open":
            braces.append((made.newest, []))
            made.add(made.newest)
        elif kind == "or" and braces:
            braces[-1][1].append(made.newest)
            made.add(braces[-1][0])
        elif kind == "close":
            if not braces:
                raise _unpaired(glob)
            made.add(*braces.pop()[1], made.newest)
        elif kind == "any":
            made.any()
        elif kind in ("above", "between", "below"):
            if kind != "above":
                made.one("/")
            (made.any if kind == "below" else made.folders)()
        else:
            made.one("." if kind == "one" else re.escape(text[-1]))
    if braces:
        raise _unpaired(glob)
    return made


def _set(glob: str, text: str) -> str:
    """Return the expression of a set of characters."""
    negates = text[1] in "!^"
    body = re.sub(r"([\\\[\]^&|~])", r"\\\1", text[1 + negates : -1])
    expression = f"[{'^' * negates}{body}]"
    try:
        re.compile(expression)
    except re.error as error:
        raise InvalidInput(f"the glob '{glob}' is not valid: {error}") from None
    return expression


def _unpaired(glob: str) -> InvalidInput:
    return InvalidInput(f"the braces of the glob '{glob}' are not in pairs: expected for example '*.{{t,s}}.sol'")
