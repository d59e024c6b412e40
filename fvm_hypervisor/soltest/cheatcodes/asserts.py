"""Assertion cheatcodes: `assertEq` and the like, with forge's failure messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.state import FAILED_SLOT, VM_ADDRESS
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.cheatcodes.text.strings import show, units

_FAILED: Final = "assertion failed"
_KINDS: Final = ("bool", "uint256", "int256", "address", "bytes32", "string", "bytes")
_NUMBERS: Final = ("uint256", "int256")
_PERCENT: Final = 18


def _fail(context: Context, text: str, message: str | None) -> None:
    _report(context, f"{_FAILED if message is None else message}: {text}")


def _report(context: Context, text: str) -> None:
    """Raise CheatcodeFailure. If the project's assertions do not revert, print a line and mark the test as failed."""
    if context.settings.assertions_revert:
        raise CheatcodeFailure(text, named=False)
    context.cheats.console.write_line(text)
    context.ledger.store(VM_ADDRESS, FAILED_SLOT, 1)


@cheatcode("assertTrue(bool)")
def _true(context: Context, condition: bool) -> None:
    _hold(context, condition, _FAILED)


@cheatcode("assertTrue(bool,string)")
def _true_or(context: Context, condition: bool, message: str) -> None:
    _hold(context, condition, message)


@cheatcode("assertFalse(bool)")
def _false(context: Context, condition: bool) -> None:
    _hold(context, not condition, _FAILED)


@cheatcode("assertFalse(bool,string)")
def _false_or(context: Context, condition: bool, message: str) -> None:
    _hold(context, not condition, message)


def _hold(context: Context, condition: bool, message: str) -> None:
    if not condition:
        _report(context, message)


# --- comparisons, each over types, with and without a message ------------------------------------------------------

_COMPARISONS: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "Eq": (lambda left, right: bool(left == right), "!="),
    "NotEq": (lambda left, right: bool(left != right), "=="),
    "Gt": (lambda left, right: bool(left > right), "<="),
    "Ge": (lambda left, right: bool(left >= right), "<"),
    "Lt": (lambda left, right: bool(left < right), ">="),
    "Le": (lambda left, right: bool(left <= right), ">"),
}


def _comparison(name: str, kind: str) -> None:
    holds, sign = _COMPARISONS[name]

    def compare(context: Context, left: Any, right: Any, message: str | None = None) -> None:
        if not holds(left, right):
            _fail(context, f"{show(kind, left)} {sign} {show(kind, right)}", message)

    cheatcode(f"assert{name}({kind},{kind})", f"assert{name}({kind},{kind},string)")(compare)


def _decimal_comparison(name: str, kind: str) -> None:
    holds, sign = _COMPARISONS[name]

    def compare(context: Context, left: int, right: int, decimals: int, message: str | None = None) -> None:
        if not holds(left, right):
            _fail(context, f"{units(left, decimals)} {sign} {units(right, decimals)}", message)

    cheatcode(f"assert{name}Decimal({kind},{kind},uint256)", f"assert{name}Decimal({kind},{kind},uint256,string)")(
        compare
    )


for _name, _kind in product(("Eq", "NotEq"), _KINDS):
    _comparison(_name, _kind)
    _comparison(_name, f"{_kind}[]")
for _name, _kind in product(("Gt", "Ge", "Lt", "Le"), _NUMBERS):
    _comparison(_name, _kind)
for _name, _kind in product(_COMPARISONS, _NUMBERS):
    _decimal_comparison(_name, _kind)


# --- approximate equality ------------------------------------------------------------------------------------------


def _approximately(kind: str) -> None:
    def absolute(context: Context, left: int, right: int, max_delta: int, message: str | None = None) -> None:
        _check_absolute(context, left, right, max_delta, str, message)

    def absolute_decimal(
        context: Context, left: int, right: int, max_delta: int, decimals: int, message: str | None = None
    ) -> None:
        _check_absolute(context, left, right, max_delta, lambda number: units(number, decimals), message)

    def relative(context: Context, left: int, right: int, max_delta: int, message: str | None = None) -> None:
        _check_relative(context, left, right, max_delta, str, message)

    def relative_decimal(
        context: Context, left: int, right: int, max_delta: int, decimals: int, message: str | None = None
    ) -> None:
        _check_relative(context, left, right, max_delta, lambda number: units(number, decimals), message)

    for name, handler, more in (
        ("Abs", absolute, ()), ("AbsDecimal", absolute_decimal, ("uint256",)),
        ("Rel", relative, ()), ("RelDecimal", relative_decimal, ("uint256",)),
    ):  # fmt: skip
        types: Sequence[str] = (kind, kind, "uint256", *more)
        start = f"assertApproxEq{name}({','.join(types)}"
        cheatcode(f"{start})", f"{start},string)")(handler)


def _check_absolute(
    context: Context, left: int, right: int, max_delta: int, text: Callable[[int], str], message: str | None
) -> None:
    delta = abs(left - right)
    if delta > max_delta:
        _fail(
            context,
            f"{text(left)} !~= {text(right)} (max delta: {text(max_delta)}, real delta: {text(delta)})",
            message,
        )


def _check_relative(
    context: Context, left: int, right: int, max_delta: int, text: Callable[[int], str], message: str | None
) -> None:
    if right == 0:
        if left == 0:
            return
        real = "undefined"
    else:
        delta = abs(left - right) * 10**_PERCENT // abs(right)
        if delta >= 1 << 256:
            _fail(context, "overflow in delta calculation", message)
            return
        if delta <= max_delta:
            return
        real = _percent(delta)
    _fail(context, f"{text(left)} !~= {text(right)} (max delta: {_percent(max_delta)}, real delta: {real})", message)


def _percent(delta: int) -> str:
    return f"{units(delta, _PERCENT - 2)}%"


for _kind in _NUMBERS:
    _approximately(_kind)
