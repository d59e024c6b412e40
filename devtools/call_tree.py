"""How a call is printed: runtime, who is called, method, value, exit and gas, in one line for every command."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from hypervisor.exit_codes import exit_name
from hypervisor.types import ATTO_PER_FIL

GUIDE_STYLE = "dim"
EVENT_STYLE = "yellow"
_RUNTIMES = {"wasm": "magenta", "evm": "cyan", "": "dim"}
_WIDTH = 1_000_000
_DECIMALS = len(str(ATTO_PER_FIL)) - 1


def tree_console() -> Console:
    """A console for call trees: a call has one line, however long and deep; a terminal folds it, nothing cuts it."""
    return Console(highlight=False, soft_wrap=True, width=_WIDTH)


def call_line(runtime: str, callee: str, method: str, value: int, exit_code: int, error: str, gas: int) -> Text:
    """A call's line. Value in attoFIL, gas in gas; `error` is the syscall error of a call that never began."""
    failed = bool(exit_code or error)
    line = Text()
    line.append(f"{runtime or '-':<5}", style=_RUNTIMES.get(runtime, "green"))
    line.append(f"{callee} ", style="bold")
    line.append(f"{method}  ")
    line.append(f"value {show_fil(value)}  ", style="green" if value else "dim")
    line.append(f"exit {error or _exit(exit_code)}", style="red" if failed else "dim")
    line.append(f"  gas {gas:,}", style="dim")
    return line


def show_fil(amount: int) -> str:
    """attoFIL in FIL, exactly: `1.5 FIL`, `0.000000000000000001 FIL`, and `0` for nothing."""
    if not amount:
        return "0"
    whole, atto = divmod(abs(amount), ATTO_PER_FIL)
    fraction = f"{atto:0{_DECIMALS}}".rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction} FIL"


def _exit(code: int) -> str:
    name = exit_name(code)
    return str(code) if name == str(code) or not code else f"{code} {name}"
