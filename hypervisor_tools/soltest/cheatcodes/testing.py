"""Assertions with forge's messages, assumptions, skipping, facts of the run, and deployments by scripts.

Deployments are read from forge's files: `broadcast/<script>/<chain>/run-<time>.json`. Prompts fail with forge's error,
since there is no terminal.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME, MAGIC_SKIP, CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.files import MAX_FILE_BYTES
from hypervisor_tools.soltest.cheatcodes.pranks import NOT_SENT, attach
from hypervisor_tools.soltest.cheatcodes.state import FAILED_SLOT, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text.strings import show, units
from hypervisor_tools.soltest.forks.records import endpoint_url

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
    context.state.may_have_failed = True
    context.ledger.store(VM_ADDRESS, FAILED_SLOT, 1)


@cheatcode("assertTrue(bool)", "assertTrue(bool,string)")
def _true(context: Context, condition: bool, message: str = _FAILED) -> None:
    _hold(context, condition, message)


@cheatcode("assertFalse(bool)", "assertFalse(bool,string)")
def _false(context: Context, condition: bool, message: str = _FAILED) -> None:
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


_MAX_SLEEP = 10.0
_OWN_VERSION: Final = 1, 7, 1
_VERSION_TEXT: Final = "1.7.1-hypervisor+4072e48705.1778226655.dist"
"""Version, commit, build time and profile of the forge release whose cheatcodes these are, in forge's form."""
_VERSION: Final = re.compile(
    r"(?P<major>0|[1-9]\d{0,18})\.(?P<minor>0|[1-9]\d{0,18})\.(?P<patch>0|[1-9]\d{0,18})"
    r"(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+(?P<build>[0-9A-Za-z.-]+))?",
    re.ASCII,
)
"""Semantic version (semver.org), whose numbers have at most 63 bits."""


@cheatcode("assume(bool)")
def _assume(_context: Context, condition: bool) -> None:
    if not condition:
        raise CheatcodeFailure("assumption failed", MAGIC_ASSUME)


@cheatcode("skip(bool)", "skip(bool,string)")
def _skip(context: Context, condition: bool, reason: str = "") -> None:
    if not condition:
        return
    if context.depth > 1:
        raise CheatcodeFailure("`skip` can only be used at test level")
    context.cheats.skip_data = MAGIC_SKIP + reason.encode()
    raise CheatcodeFailure(reason, context.cheats.skip_data)


@cheatcode("breakpoint(string)", "breakpoint(string,bool)")
def _breakpoint(_context: Context, name: str, _on: bool = True) -> None:
    if len(name) != 1 or not name.isalpha():
        raise CheatcodeFailure("breakpoints must be exactly one character")


@cheatcode("pauseTracing()", "resumeTracing()", partial="traces show everything")
def _tracing(_context: Context) -> None:
    """Do nothing: traces show everything."""


@cheatcode("sleep(uint256)", partial=f"no longer than {_MAX_SLEEP:.0f} seconds")
def _sleep(_context: Context, milliseconds: int) -> None:
    time.sleep(min(milliseconds / 1000, _MAX_SLEEP))


@cheatcode("unixTime()", returns="uint256")
def _unix_time(context: Context) -> int:
    context.note_input("the clock")
    return int(time.time() * 1000)


@cheatcode("getFoundryVersion()", returns="string")
def _foundry_version(_context: Context) -> str:
    return _VERSION_TEXT


cheatcode("foundryVersionCmp(string)", returns="int256")(lambda _context, version: _compare(version))
cheatcode("foundryVersionAtLeast(string)", returns="bool")(lambda _context, version: _compare(version) >= 0)


def _compare(version: str) -> int:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise CheatcodeFailure(f"invalid version `{version}`: expected MAJOR.MINOR.PATCH, such as 1.7.1")
    if found["pre"]:
        raise CheatcodeFailure(f"invalid version `{version}`: pre-release versions are not supported")
    if found["build"]:
        raise CheatcodeFailure(f"invalid version `{version}`: build metadata is not supported")
    wanted = tuple(int(found[part]) for part in ("major", "minor", "patch"))
    return (wanted < _OWN_VERSION) - (wanted > _OWN_VERSION)


@cheatcode("isContext(uint8)", returns="bool")
def _is_context(_context: Context, kind: int) -> bool:
    """Return True for a test context: 0 and 1 of forge's `ForgeContext`."""
    return kind in (0, 1)


@cheatcode("rpcUrl(string)", returns="string")
def _rpc_url(context: Context, alias: str) -> str:
    context.note_input("environment variables")
    try:
        return endpoint_url(alias, context.settings.rpc_endpoints, context.settings.environment)
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


@cheatcode("rpcUrls()", returns="string[2][]")
def _rpc_urls(context: Context) -> list[list[str]]:
    return [[alias, _rpc_url(context, alias)] for alias in context.settings.rpc_endpoints]


@cheatcode("rpcUrlStructs()", returns="(string,string)[]")
def _rpc_structs(context: Context) -> list[tuple[str, str]]:
    return [(alias, _rpc_url(context, alias)) for alias in context.settings.rpc_endpoints]


@cheatcode("isIsolateMode()", returns="bool")
def _is_isolate_mode(context: Context) -> bool:
    return context.settings.isolates


_SUMMARY: Final = "(bytes32,uint8,address,uint64,bool)"
_TYPES: Final = ("CALL", "CREATE", "CREATE2")
_CREATIONS: Final = ("CREATE", "CREATE2")

Summary = tuple[bytes, int, EthAddress, int, bool]
"""A sent transaction: hash, index in `_TYPES`, contract, block number, and True if it succeeded."""


def _broadcasts(context: Context, name: str, chain: int, types: Sequence[str]) -> list[Summary]:
    """Return the transactions that scripts sent to a contract or created it with, latest first."""
    found: list[Summary] = []
    for run in _runs(context, chain):
        try:
            receipts = {receipt["transactionHash"]: receipt for receipt in run["receipts"]}
            found += [
                _summary(sent, receipts[sent["hash"]])
                for sent in run["transactions"]
                if sent["contractName"] == name and sent["transactionType"] in types and sent["hash"] in receipts
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise CheatcodeFailure(f"a broadcast of chain {chain} cannot be read: {error!r}") from None
    return sorted(found, key=lambda summary: -summary[3])


def _runs(context: Context, chain: int) -> Iterator[Any]:
    """Yield the parsed broadcast files of one chain, except `run-latest.json`, which is a copy."""
    context.note_input("files")
    for file in sorted((context.settings.root / "broadcast").glob(f"**/{chain}/*.json")):
        if file.name.endswith("-latest.json"):
            continue
        try:
            if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
                yield orjson.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise CheatcodeFailure(f'failed to read "{file}": {error}') from None


def _summary(sent: dict[str, Any], receipt: dict[str, Any]) -> Summary:
    return (
        bytes.fromhex(sent["hash"][2:]),
        _TYPES.index(sent["transactionType"]),
        EthAddress(bytes.fromhex(sent["contractAddress"][2:])),
        int(receipt["blockNumber"], 16),
        receipt["status"] == "0x1",
    )


def _latest(found: list[Summary]) -> Summary:
    if not found:
        raise CheatcodeFailure("No broadcasts found")
    return found[0]


@cheatcode("getBroadcast(string,uint64,uint8)", returns=_SUMMARY)
def _broadcast(context: Context, name: str, chain: int, type_: int) -> Summary:
    return _latest(_broadcasts(context, name, chain, _TYPES[type_ : type_ + 1]))


@cheatcode("getBroadcasts(string,uint64)", "getBroadcasts(string,uint64,uint8)", returns=f"{_SUMMARY}[]")
def _all(context: Context, name: str, chain: int, type_: int | None = None) -> list[Summary]:
    return _broadcasts(context, name, chain, _TYPES if type_ is None else _TYPES[type_ : type_ + 1])


@cheatcode("getDeployment(string)", "getDeployment(string,uint64)", returns="address")
def _deployment(context: Context, name: str, chain: int | None = None) -> EthAddress:
    return _latest(
        _broadcasts(context, name, context.machine.context.chain_id if chain is None else chain, _CREATIONS)
    )[2]


@cheatcode("getDeployments(string,uint64)", returns="address[]")
def _deployments(context: Context, name: str, chain: int) -> list[EthAddress]:
    return [summary[2] for summary in _broadcasts(context, name, chain, _CREATIONS)]


_NO_TERMINAL = "fails, as in forge without a terminal"


@cheatcode("prompt(string)", "promptSecret(string)", returns="string", partial=_NO_TERMINAL)
@cheatcode("promptUint(string)", "promptSecretUint(string)", returns="uint256", partial=_NO_TERMINAL)
@cheatcode("promptAddress(string)", returns="address", partial=_NO_TERMINAL)
def _prompt(_context: Context, _text: str) -> str:
    raise CheatcodeFailure("IO error: not a terminal")


@cheatcode("accessList((address,bytes32[])[])")
def _access_list(context: Context, entries: Sequence[tuple[EthAddress, Sequence[bytes]]]) -> None:
    """Set the access list of calls that are transactions (`isolate`); as in forge, other calls ignore it."""
    context.state.access_list = tuple(
        (EthAddress(address), tuple(int.from_bytes(key, "big") for key in keys)) for address, keys in entries
    )


@cheatcode("noAccessList()")
def _no_access_list(context: Context) -> None:
    context.state.access_list = ()


@cheatcode("attachBlob(bytes)", partial=NOT_SENT)
def _attach_blob(context: Context, _blob: bytes) -> None:
    context.state.blob = True
    attach(context, "attachBlob")


@cheatcode("currentFilePath()", returns="string")
def _current_file(context: Context) -> str:
    return context.settings.file


for _name, _creates in (("Code", True), ("DeployedCode", False)):
    cheatcode(f"getArtifactPathBy{_name}(bytes)", returns="string")(
        lambda context, code, creates=_creates: _artifact(context, code, creates)
    )


def _artifact(context: Context, code: bytes, creates: bool) -> str:
    context.note_input("files")
    found = context.settings.contracts(code, creates)
    if found is None:
        raise CheatcodeFailure("no matching artifact found")
    out = context.settings.root / context.settings.out
    path = found.path if found.path.is_relative_to(out) else out / Path(found.file).name / f"{found.name}.json"
    return str(path)  # forge's, which need not exist
