"""The tables that the fast EVM engine's guest shares with Python, as Rust: `runtimes/evm/guests/evm/src/tables.rs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from runtimes.evm.engine import Status
from runtimes.evm.fast import numbers
from runtimes.evm.fast.host_calls import HOST_CALLS
from runtimes.evm.fast.tree import TREE_HOST_CALLS
from runtimes.evm.gas_table import GasTable

PATH: Final = Path("runtimes/evm/guests/evm/src/tables.rs")

_HEAD: Final = """\
//! What Python and this guest share: `make bindings` writes it from `runtimes/evm/gas_table.py`, `fast/numbers.py` and
//! the host calls of `fast/host_calls.py` and `fast/tree.py`. A test compares.
"""


def files() -> Mapping[Path, str]:
    """Return the text of the file by path."""
    return {PATH: "\n".join([_HEAD, *_parts()])}


def _parts() -> Iterator[str]:
    yield f"pub const EXCHANGE: usize = {numbers.EXCHANGE};\n"
    yield _module("command", "u32", _numbers(numbers.GuestCommand))
    yield _module("exit", "u32", {**{status.name: int(status) for status in Status}, **_numbers(numbers.GuestExit)})
    calls = [function.__name__.removeprefix("_").upper() for function in (*HOST_CALLS, *TREE_HOST_CALLS)]
    yield _module("host_call", "u32", {name: number for number, name in enumerate(calls)})
    yield _module("tree_flag", "u64", _numbers(numbers.TreeFlag))
    yield _module("account", "u64", _numbers(numbers.AccountFlag))
    yield _module("change", "u64", _numbers(numbers.ChangeFlag))
    yield _gas_table()


def _numbers(table: type) -> dict[str, int]:
    return {name: number for name, number in vars(table).items() if name.isupper()}


def _module(name: str, type_name: str, numbers_of: Mapping[str, int]) -> str:
    lines = [f"    pub const {constant}: {type_name} = {number};" for constant, number in numbers_of.items()]
    return "\n".join([f"pub mod {name} {{", *lines, "}", ""])


def _gas_table() -> str:
    names = [field.name for field in fields(GasTable)]
    return "\n".join([
        f"pub const GAS_PRICES: usize = {len(names)};",
        "",
        "#[derive(Clone, Copy, Default)]",
        "pub struct GasTable {",
        *(f"    pub {name}: u64," for name in names),
        "}",
        "",
        "impl GasTable {",
        "    pub fn of(numbers: &[u64]) -> GasTable {",
        "        GasTable {",
        *(f"            {name}: numbers[{index}]," for index, name in enumerate(names)),
        "        }",
        "    }",
        "}",
        "",
    ])  # fmt: skip
