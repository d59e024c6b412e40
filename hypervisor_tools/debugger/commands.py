"""The terminal commands of the debugger: a table of names, handlers and output; and the prompt.

Each handler calls a `Session` and its views. Untrusted text in the output is escaped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.gas import in_gas
from hypervisor.text import printable
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.breakpoints import KINDS, has_address_form, syscall_names
from hypervisor_tools.debugger.execution import End, Stop
from hypervisor_tools.debugger.session import Session
from store.blockstore import StoreError

_AROUND: Final = 4
"""Number of source lines shown before and after the current one."""
_MAX_OUTPUT_LENGTH: Final = 20_000
"""Maximum number of characters that a command prints; longer output is truncated."""


class Quit(Exception):
    """Raised when the user quits."""


Handler = Callable[["Terminal", list[str]], str]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: names, usage, one-line description, and the function that returns its output."""

    names: tuple[str, ...]
    usage: str
    help: str
    run: Handler


class Terminal:
    """Executes command lines. `frame` is the index of the inspected call, counted from the innermost one."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frame = 0
        self._last = ""

    def begin(self) -> str:
        self.session.start()
        name, warning = self.session.subject.name, ""
        if not self.session.subject.steps_contracts:
            warning = (
                "\ncontracts run in the official EVM actor, which shows no instructions: use --evm fast to see them"
            )
        return f"{name}{warning}\n{self.where()}"

    def execute(self, line: str) -> str:
        """Execute a command line and return its output; an empty line repeats the previous one.

        Errors are returned as text. Raises Quit.
        """
        line = line.strip() or self._last
        arguments = line.split()
        if not arguments:
            return ""
        command = BY_NAME.get(arguments[0])
        if command is None:
            return f"there is no command '{printable(arguments[0])}': `help` lists them"
        self._last = line
        try:
            return _truncate(command.run(self, arguments[1:]))
        except (HypervisorError, StoreError) as error:
            return f"error: {views.safe_error_text(error)}"
        finally:
            self.session.forget_pause()

    def where(self) -> str:
        """Return the current position and the surrounding source lines."""
        state = self.session.state
        if isinstance(state, End):
            return state.text
        frame = views.frame(self.session, self.frame)
        used = in_gas(self.session.listener.used_at(state.site))
        head = f"{state.reason}: {frame.title}\n  {frame.where}, gas {used} of the message"
        source = self.source(frame.path, frame.line) if frame.path else ""
        return f"{head}\n{source}" if source else head

    def source(self, path: str, line: int) -> str:
        text = self.session.sources.text(path)
        first, last = max(1, line - _AROUND), min(len(text), line + _AROUND)
        return "\n".join(
            f"{'->' if number == line else '  '} {number:>4} {printable(text[number - 1], 200)}"
            for number in range(first, last + 1)
        )

    def move(self, move: Callable[[], Stop | End]) -> str:
        """Execute a move and return the resulting position.

        The innermost call is selected again if the position has changed, also if the move fails.
        """
        before = self.session.state
        try:
            move()
        finally:
            if self.session.state is not before:
                self.frame = 0
        return self.where()


def _truncate(text: str) -> str:
    return (
        text
        if len(text) <= _MAX_OUTPUT_LENGTH
        else f"{text[:_MAX_OUTPUT_LENGTH]}\n... {len(text) - _MAX_OUTPUT_LENGTH:,} characters more"
    )


def _back(terminal: Terminal, arguments: list[str]) -> str:
    into = arguments[:1] == ["into"]
    return terminal.move(lambda: _repeat(arguments[into:], lambda: terminal.session.back(into=into)))


def _moves_once(method: str) -> Handler:
    """Return the handler of a command that makes a move of the session, whatever its arguments."""
    return lambda terminal, _: terminal.move(getattr(terminal.session, method))


def _moves(method: str, **options: bool) -> Handler:
    """Return the handler of a command that makes a move of the session N times."""
    return lambda terminal, arguments: terminal.move(
        lambda: _repeat(arguments, partial(getattr(terminal.session, method), **options))
    )


def _repeat(arguments: list[str], move: Callable[[], Stop | End]) -> Stop | End:
    """Repeat a move N times, until the message ends or another reason stops it."""
    state = move()
    for _ in range(_count(arguments) - 1):
        if isinstance(state, End) or state.reason not in ("step", "back"):
            break
        state = move()
    return state


def _count(arguments: list[str]) -> int:
    return max(1, _number(arguments[0])) if arguments else 1


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise InvalidInput(f"'{text}' is not a number") from None


def _break(terminal: Terminal, arguments: list[str]) -> str:
    if not arguments:
        made = terminal.session.breakpoints.all
        return "\n".join(f"{one.number}: {one}, hit {one.hits} times" for one in made) or "no breakpoints"
    added = terminal.session.breakpoints.add(" ".join(arguments))
    return f"breakpoint {added.number}: {added}"


def _delete(terminal: Terminal, arguments: list[str]) -> str:
    if not arguments:
        raise InvalidInput("missing argument: the number of a breakpoint, as listed by `break`")
    return f"deleted: {terminal.session.breakpoints.remove(_number(arguments[0]))}"


def _where(terminal: Terminal, _: list[str]) -> str:
    shown = views.frames(terminal.session)
    return "\n".join(
        f"{'>' if frame.number == terminal.frame else ' '} {frame.number} {frame.title}\n      {frame.where}"
        for frame in shown
    )


def _frame(terminal: Terminal, arguments: list[str]) -> str:
    number = _number(arguments[0]) if arguments else terminal.frame
    views.call_of(terminal.session, number)
    terminal.frame = number
    return terminal.where()


def _stack(terminal: Terminal, _: list[str]) -> str:
    step = views.step_of(terminal.session, terminal.frame)
    rows = "\n".join(f"{index:>4} 0x{word:064x}" for index, word in enumerate(reversed(step.stack)))
    return f"pc {step.pc} {step.name}, EVM gas {step.gas:,}\n{rows or '     the stack is empty'}"


def _memory(terminal: Terminal, arguments: list[str]) -> str:
    offset = _number(arguments[0]) if arguments else 0
    length = _number(arguments[1]) if len(arguments) > 1 else 256
    if offset < 0 or length < 0:
        raise InvalidInput("offset and length must be at least 0")
    return (
        hex_lines(views.memory(terminal.session, terminal.frame, offset, length), offset) or "no memory at this offset"
    )


def hex_lines(data: bytes, offset: int = 0) -> str:
    """Format bytes in hex and as text, 32 per line."""
    rows = (data[at : at + 32] for at in range(0, len(data), 32))
    return "\n".join(
        f"0x{offset + 32 * number:06x}  {row.hex():<64}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}"
        for number, row in enumerate(rows)
    )


def _storage(terminal: Terminal, arguments: list[str]) -> str:
    first = _number(arguments[0]) if arguments else 0
    if not 0 <= first < 1 << 256:
        raise InvalidInput(f"{first} is not a slot: expected 0 to 2^256 - 1")
    found = views.storage(terminal.session, terminal.frame, first)
    lines = [f"0x{key:x}: 0x{word:x}" for key, word in sorted(found.slots.items())] + [found.rest] * bool(found.rest)
    return "\n".join(lines) or "the storage is empty"


def _calldata(terminal: Terminal, arguments: list[str]) -> str:
    data = views.calldata(terminal.session, terminal.frame)
    offset = _number(arguments[0]) if arguments else 0
    length = _number(arguments[1]) if len(arguments) > 1 else len(data)
    if offset < 0 or length < 0:
        raise InvalidInput("offset and length must be at least 0")
    return hex_lines(data[offset : offset + length], offset) or "no calldata"


def _syscall(terminal: Terminal, _: list[str]) -> str:
    call = views.call_of(terminal.session, terminal.frame)
    now, before = views.syscall_text(terminal.session, call), views.last_result(call)
    return f"{now}\nbefore: {before}" if before else now


def _functions(terminal: Terminal, _: list[str]) -> str:
    found = terminal.session.functions(views.call_of(terminal.session, terminal.frame))
    if not found:
        raise InvalidInput(f"frame {terminal.frame} is not a native actor at a syscall: stop at one of its syscalls")
    return "\n".join(f"{index:>4} {printable(name)}" for index, name in enumerate(found))


def _state(terminal: Terminal, arguments: list[str]) -> str:
    address = arguments[0] if arguments else _receiver(terminal)
    if not has_address_form(address):
        address, arguments = _receiver(terminal), ["", *arguments]
    found = views.state(terminal.session, address, arguments[1] if len(arguments) > 1 else "")
    return printable_lines(json.dumps(found, indent=2, ensure_ascii=False))


def printable_lines(text: str) -> str:
    """Escape unprintable characters in each line of a text."""
    return "\n".join(printable(line, max(1, len(line))) for line in text.splitlines())


def _receiver(terminal: Terminal) -> str:
    call = views.call_of(terminal.session, terminal.frame)
    actor = terminal.session.names.actor(call)
    if actor is None:
        raise InvalidInput("the call has no actor yet: pass an address, as in `state f04`")
    return terminal.session.names.address(actor)


def _gas(terminal: Terminal, _: list[str]) -> str:
    found = views.gas(terminal.session, terminal.frame)
    rows = "\n".join(f"{name:<28} {amount:>20,.3f}" for name, amount in found.charges.items())
    return f"the message has used {found.used:,.3f} of {found.limit:,.3f} gas; this call itself:\n{rows}"


def _logs(terminal: Terminal, _: list[str]) -> str:
    logs = terminal.session.listener.logs
    return "\n".join(f"f0{log.actor}: {printable(log.text, 500)}" for log in logs) or "no actor has logged anything"


def _list(terminal: Terminal, arguments: list[str]) -> str:
    frame = views.frame(terminal.session, terminal.frame)
    if not frame.path:
        raise InvalidInput(
            "the source line is not known: no artifact of this code has a source map (for `hypervisor step`, name the "
            "folder by --artifacts); for a native actor, use `functions`"
        )
    return terminal.source(frame.path, _number(arguments[0]) if arguments else frame.line)


def _help(_: Terminal, arguments: list[str]) -> str:
    wanted = BY_NAME.get(arguments[0]) if arguments else None
    shown = COMMANDS if wanted is None else (wanted,)
    return "\n".join(f"{', '.join(one.names):<22} {one.usage:<20} {one.help}" for one in shown)


def _quit(_: Terminal, __: list[str]) -> str:
    raise Quit


COMMANDS: Final = (
    Command(("step", "s"), "[N]", "step to the next line, syscall or call", _moves("step")),
    Command(("next", "n"), "[N]", "step over calls and internal functions", _moves("over")),
    Command(("out", "finish"), "", "run to the end of the function or call", _moves_once("out")),
    Command(("back", "b"), "[into] [N]", "step back to the previous line or syscall; `into` enters calls", _back),
    Command(("continue", "c"), "", "run to the next breakpoint or the end of the message", _moves_once("resume")),
    Command(
        ("reverse", "rc"), "", "run back to the previous breakpoint or the start of the message", _moves_once("reverse")
    ),
    Command(("stepi", "si"), "[N]", "step one instruction of a contract", _moves("step", by_instruction=True)),
    Command(("nexti", "ni"), "[N]", "step one instruction in the same frame", _moves("over", by_instruction=True)),
    Command(("backi", "bi"), "[N]", "step back one instruction", _moves("back", into=True, by_instruction=True)),
    Command(("restart", "run"), "", "restart the message", _moves_once("start")),
    Command(("break",), f"[{'|'.join(KINDS)} ...]", "set a breakpoint; without arguments, list them", _break),
    Command(("delete",), "N", "delete a breakpoint", _delete),
    Command(("where", "bt"), "", "list the open calls, innermost first", _where),
    Command(("frame", "f"), "[N]", "select a call", _frame),
    Command(("up",), "", "select the caller", lambda terminal, _: _frame(terminal, [str(terminal.frame + 1)])),
    Command(("down",), "", "select the callee", lambda terminal, _: _frame(terminal, [str(terminal.frame - 1)])),
    Command(("list", "l"), "[LINE]", "show source lines", _list),
    Command(("stack",), "", "show the EVM instruction and the stack, top first", _stack),
    Command(
        ("memory", "x"), "[OFFSET [LENGTH]]", "show memory of a contract, or of a native actor at a syscall", _memory
    ),
    Command(("storage",), "[FIRST]", "show a contract's storage words", _storage),
    Command(("calldata",), "[OFFSET [LENGTH]]", "show the calldata of a contract", _calldata),
    Command(
        ("params", "p"),
        "",
        "show method, parameters, value and result, decoded",
        lambda terminal, _: views.parameters(terminal.session, terminal.frame),
    ),
    Command(("syscall",), "", "show the syscall, its parameters, and the previous result", _syscall),
    Command(("functions", "fn"), "", "show a native actor's function stack, innermost first", _functions),
    Command(("state",), "[ACTOR] [PATH]", "show an actor's current state, decoded", _state),
    Command(("gas",), "", "show gas of the message, and of the call by charge", _gas),
    Command(("logs",), "", "show debug logs of native actors", _logs),
    Command(("help", "h", "?"), "[COMMAND]", "show this table", _help),
    Command(("quit", "q", "exit"), "", "quit", _quit),
)
BY_NAME: Final[Mapping[str, Command]] = {name: command for command in COMMANDS for name in command.names}


PROMPT = "(step) "


def run_prompt(session: Session, first: Iterable[str] = ()) -> None:
    """Execute the commands in `first`, then commands from standard input until it ends."""
    terminal = Terminal(session)
    try:
        _print(terminal.begin())
        for line in first:
            _print(f"{PROMPT}{line}")
            _print(terminal.execute(line))
        for line in _read_lines():
            _print(terminal.execute(line))
    except Quit:
        pass
    finally:
        session.close()


def _print(text: str) -> None:
    if text:
        print(text, flush=True)


def _read_lines() -> Iterator[str]:
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
    arguments: dict[str, dict[str, None] | None] = dict.fromkeys(BY_NAME)
    arguments["break"] = dict.fromkeys(KINDS)
    arguments["help"] = dict.fromkeys(BY_NAME)
    completer = NestedCompleter.from_nested_dict(
        {**arguments, "break": {**dict.fromkeys(KINDS), "syscall": dict.fromkeys(syscall_names())}}
    )
    prompt: PromptSession[str] = PromptSession(PROMPT, completer=completer)
    return prompt.prompt
