"""Typed access to a table of `foundry.toml`; errors name the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hypervisor.errors import InvalidInput

U32: Final = (1 << 32) - 1
U64: Final = (1 << 64) - 1
U256: Final = (1 << 256) - 1
_ACCESS: Final = ("none", "read", "write", "read-write")
_MAX_KEYWORDS: Final = ("max", "u64::MAX")


class Table:
    """Values by key; `prefix` is the table's own name with a dot. All methods raise InvalidInput.

    `read_keys` collects the keys read from this table and its subtables, with their prefixes.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str = "", read_keys: set[str] | None = None) -> None:
        self._values = values
        self._prefix = prefix
        self.read_keys: set[str] = set() if read_keys is None else read_keys

    def __contains__(self, name: str) -> bool:
        self.value(name)
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def text(self, name: str, default: str) -> str:
        """Return a string without NUL, which no path may contain."""
        value = self._of(name, str, default, "a string")
        return str(value) if "\0" not in value else self._refuse(name, "a string without NUL")

    def first_text(self, *names: str) -> str | None:
        """Return the string of the first of these keys that is set, or None."""
        found = [name for name in names if name in self]
        return self.text(found[0], "") if found else None

    def choice(self, name: str, default: str, *others: str) -> str:
        """Return one of the allowed words."""
        value = self.text(name, default)
        return value if value in (default, *others) else self._refuse(name, f"one of {', '.join((default, *others))}")

    def address(self, name: str, default: str) -> str:
        """Return an Ethereum address in hex."""
        value = self.text(name, default)
        digits = value.removeprefix("0x")
        is_hex = len(digits) == 40 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        return value if is_hex else self._refuse(name, "an address of twenty bytes in hex")

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean."""
        return bool(self._of(name, bool, default, "true or false"))

    def number(self, name: str, default: int, top: int = U32) -> int:
        """Return an integer from 0 to `top`, also given as a string; `max` is 2^64 - 1, or `top` if that is less."""
        value = self.value(name, default)
        if isinstance(value, str):
            if value in _MAX_KEYWORDS:
                return min(top, U64)
            try:
                value = int(value, 0)
            except ValueError:
                self._refuse(name, "a number")
        if not isinstance(value, int) or isinstance(value, bool):
            self._refuse(name, "a number")
        if value < 0:
            self._refuse(name, "a number from 0 on")
        return int(value) if value <= top else self._refuse(name, f"at most 2^{top.bit_length()} - 1")

    def number_or_none(self, name: str, top: int = U32) -> int | None:
        """Return an integer, or None if the key is not set."""
        return self.number(name, 0, top) if name in self else None

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list of strings."""
        found = self._of(name, list, default, "a list of strings")
        if not all(isinstance(item, str) and "\0" not in item for item in found):
            self._refuse(name, "a list of strings")
        return tuple(found)

    def tables(self, name: str) -> list[Table]:
        """Return a list of tables."""
        found = self._of(name, list, [], "a list of tables")
        if not all(isinstance(item, dict) for item in found):
            self._refuse(name, "a list of tables")
        return [Table(item, f"{self._prefix}{name}.", self.read_keys) for item in found]

    def table(self, name: str) -> Table:
        """Return a subtable; an empty one if the key is not set."""
        return Table(self.values(name), f"{self._prefix}{name}.", self.read_keys)

    def values(self, name: str) -> dict[str, Any]:
        """Return the values of a subtable, unchecked."""
        return dict(self._of(name, dict, {}, "a table"))

    def value(self, name: str, default: Any = None) -> Any:
        """Return the value of a key, unchecked."""
        self.read_keys.add(self._prefix + name)
        return self._values.get(name, default)

    def all_values(self) -> dict[str, Any]:
        """Return the values of this table, unchecked."""
        return dict(self._values)

    def is_table(self, name: str) -> bool:
        """Return True if the value of a key is a table."""
        return isinstance(self.value(name), dict)

    def access(self, name: str) -> str:
        """Return a file permission: `read`, `write`, `read-write` or `none`, also given as true or false."""
        value = self.value(name)
        if isinstance(value, bool):
            return "read-write" if value else "none"
        named = {"true": "read-write", "false": "none"}.get(str(value), str(value))
        return named if named in _ACCESS else self._refuse(name, f"true, false or one of {', '.join(_ACCESS)}")

    def _of(self, name: str, kind: type, default: Any, what: str) -> Any:
        value = self.value(name, default)
        return value if value is default or isinstance(value, kind) else self._refuse(name, what)

    def _refuse(self, name: str, expected: str) -> Any:
        raise InvalidInput(f"{self._prefix}{name} is {self._values[name]!r:.60}, expected {expected}")
