"""Call trees of receipts and failures; `localnet.traces` creates them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hypervisor.exit_codes import exit_name


def every_call(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls and those under them, without recursion, since calls nest up to 1,024 deep."""
    every = list(calls)
    for call in every:
        every.extend(call["calls"])
    return every


def is_native(call: Mapping[str, Any]) -> bool:
    """Return True for a call of an actor whose own exit codes are not those of contracts."""
    return not call["abi"] and call["actor"] != "eam"


def exit_name_of(exit_code: int, calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the exit code of a message with these outermost calls, or its number."""
    return exit_name(exit_code, native=bool(calls) and is_native(calls[-1]))


def all_charges(calls: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the charges of calls and nested calls: milligas by name, largest first."""
    total = Counter[str]()
    for call in every_call(calls):
        total.update(call["charges"])
    return dict(total.most_common())


class CallTree(Protocol):
    """The calls of an execution, and the reason of its failure. `print` shows them as lines."""

    @property
    def calls(self) -> tuple[dict[str, Any], ...]:
        """The outermost calls as plain data, with their subcalls."""

    @property
    def failure_path(self) -> tuple[str, ...]:
        """The path of calls that explains a failure, from the outermost call; empty on success."""


class TransactionTree(CallTree, Protocol):
    """The calls of a transaction of the chain."""

    @property
    def reproduced(self) -> bool:
        """True if re-execution produced the recorded receipt."""

    def report(self) -> dict[str, Any]:
        """Return `as_json`, decoded, with the reason of a failure."""

    def as_json(self) -> dict[str, Any]:
        """Return the transaction and its calls as plain data."""

    def save_flame(self, file: str | Path) -> None:
        """Write a flame view: an .svg, or an .html page. Raises InvalidInput for other names, OSError."""
