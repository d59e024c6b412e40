"""The debugger's prompt, with history and completion on a terminal, and plain line input elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from fvm_hypervisor.debugger.breakpoints import KINDS, syscall_names
from fvm_hypervisor.debugger.commands import BY_NAME, Quit, Terminal
from fvm_hypervisor.debugger.session import Session

PROMPT = "(step) "


def converse(session: Session, first: Iterable[str] = ()) -> None:
    """Execute the commands in `first`, then commands from standard input until it ends."""
    terminal = Terminal(session)
    try:
        _print(terminal.begin())
        for line in first:
            _print(f"{PROMPT}{line}")
            _print(terminal.do(line))
        for line in _typed():
            _print(terminal.do(line))
    except Quit:
        pass
    finally:
        session.close()


def _print(text: str) -> None:
    if text:
        print(text, flush=True)


def _typed() -> Iterator[str]:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for line in sys.stdin:
            yield line.rstrip("\n")
        return
    read = _reader()
    while True:
        with suppress(KeyboardInterrupt):  # discard the current line
            try:
                yield read()
            except EOFError:
                return


def _reader() -> Callable[[], str]:
    """Return a function that reads a line, with history and completion if prompt-toolkit is installed."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import NestedCompleter
    except ModuleNotFoundError:
        print("no completion of commands: pip install 'fvm-hypervisor[debugger]' adds it", file=sys.stderr)
        return lambda: input(PROMPT)
    words: dict[str, dict[str, None] | None] = dict.fromkeys(BY_NAME)
    words["break"] = dict.fromkeys(KINDS)
    words["help"] = dict.fromkeys(BY_NAME)
    completer = NestedCompleter.from_nested_dict(
        {**words, "break": {**dict.fromkeys(KINDS), "syscall": dict.fromkeys(syscall_names())}}
    )
    prompt: PromptSession[str] = PromptSession(PROMPT, completer=completer)
    return prompt.prompt
