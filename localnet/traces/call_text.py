"""One-line form of a call: runtime, callee, method, value, exit code and gas.

Lines are rich's `Text` objects, so untrusted text is never interpreted as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from hypervisor.exit_codes import numbered_exit
from hypervisor.text import TreeLine, printable, show_fil
from localnet.ledger.call_tree import is_native
from localnet.traces.console_log import is_log, line_of

GUIDE_STYLE = "dim"
EVENT_STYLE = "yellow"
LOG_STYLE = "bold"
LINE_STYLE = "blue"
_RUNTIMES = {"wasm": "magenta", "evm": "cyan", "": "dim"}
_WIDTH = 1_000_000
MAX_CALLS: Final = 5_000
"""Maximum number of calls of a tree that are shown."""
DEEPEST: Final = 32
"""Maximum indentation of calls; deeper calls are not indented further, since 1,024 levels would take megabytes."""


def tree_console() -> Console:
    """Return a console for call trees: one line per call of any length; a terminal wraps it, nothing is truncated."""
    return Console(highlight=False, soft_wrap=True, width=_WIDTH)


def tree_text(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return decoded calls as plain lines."""
    console = tree_console()
    with console.capture() as captured:
        console.print(call_lines(calls))
    return captured.get().rstrip("\n")


def call_line(
    runtime: str,
    callee: str,
    method: str,
    value: int,
    exit_code: int,
    error: str,
    gas: int,
    end: str = "",
    *,
    native: bool = False,
) -> Text:
    """Return a call's line; value in attoFIL; `error` is the syscall error of a call that never started.

    `end` is the rules' description of the outcome, if they have one (`ViewRules.exit_text`).
    """
    failed = bool(exit_code or error)
    line = Text()
    line.append(f"{runtime or '-':<4} ", style=_RUNTIMES.get(runtime, "green"))
    line.append(f"{callee} ", style="bold")
    line.append(f"{method}  ")
    line.append(f"value {show_fil(value)}  ", style="green" if value else "dim")
    line.append(
        end or f"exit {error or (exit_code and numbered_exit(exit_code, native=native))}",
        style="red" if failed else "dim",
    )
    line.append(f"  gas {gas:,}", style="dim")
    return line


def call_lines(calls: Sequence[Mapping[str, Any]]) -> Tree:
    """Return decoded calls (`localnet.traces.trace_report`), each with its calls, its events and its result.

    Each log is a line. Below the depth `DEEPEST`, lines are not indented further but state their depth. The code is
    iterative, since calls can be 1,024 deep.
    """
    tree = Tree("", guide_style=GUIDE_STYLE, hide_root=True)
    remaining = MAX_CALLS
    todo: list[tuple[Tree, int, Text | Mapping[str, Any]]] = [(tree, 0, call) for call in reversed(calls)]
    while todo:
        above, depth, item = todo.pop()
        if isinstance(item, Text):
            above.add(_deep(depth, item))
        elif remaining > 0:
            remaining -= 1
            if is_log(item["to"]):
                above.add(_deep(depth, Text(f"console.log: {line_of(item)}", style=LOG_STYLE)))
                continue
            node = above.add(_deep(depth, _line_of(item)))
            below = node if depth < DEEPEST else above
            todo.extend((below, depth + 1, part) for part in reversed([*item["calls"], *_notes(item)]))
        else:
            remaining -= _size(item)
    if remaining < 0:
        tree.add(Text(f"... and {-remaining:,} calls more, which --json has", style=GUIDE_STYLE))
    return tree


def tree_lines(calls: Sequence[Mapping[str, Any]]) -> Iterator[TreeLine]:
    """Yield the lines for a view that folds them, without recursion: calls nest up to 1,024 deep."""
    todo: list[tuple[int, Mapping[str, Any]]] = [(0, call) for call in reversed(calls)]
    while todo:
        depth, call = todo.pop()
        if is_log(call["to"]):
            yield TreeLine(depth, f"console.log: {line_of(call)}")
            continue
        failed = bool(call["exitCode"] or call["error"])
        yield TreeLine(depth, _line_of(call).plain, tuple(note.plain for note in _notes(call)), failed)
        todo.extend((depth + 1, below) for below in reversed(call["calls"]))


def _deep(depth: int, line: Text) -> Text:
    """Return a line prefixed with its depth, if the tree does not show it."""
    return line if depth <= DEEPEST else Text.assemble((f"[{depth}] ", GUIDE_STYLE), line)


def _line_of(call: Mapping[str, Any]) -> Text:
    decoded = call["decoded"]
    callee, method = f"{call['to']} {decoded['callee']}", f"{decoded['function']}{decoded['arguments']}"
    line = call_line(
        call["runtime"], callee, method, int(call["value"]), call["exitCode"], call["error"], call["gas"],
        call.get("end", ""), native=is_native(call),
    )  # fmt: skip
    if call.get("line"):
        line.append(f"  from {call['line']}", style=LINE_STYLE)
    return line


def _notes(call: Mapping[str, Any]) -> list[Text]:
    """Return the lines under a call's: its actor's logs, a fault of its schema, events and result."""
    decoded, failed = call["decoded"], bool(call["exitCode"] or call["error"])
    notes = [Text(f"log {printable(line)}", style=LOG_STYLE) for line in call.get("logs", ())]
    if call.get("schemaFault"):
        notes.append(Text(f"shown undecoded: {printable(call['schemaFault'])}", style=LOG_STYLE))
    notes += [Text(f"event {event}", style=EVENT_STYLE) for event in decoded["events"]]
    if decoded["result"]:
        notes.append(Text(f"-> {decoded['result']}", style="red" if failed else "green"))
    return notes


def _size(call: Mapping[str, Any]) -> int:
    calls = [call]
    for item in calls:
        calls.extend(item["calls"])
    return len(calls)
