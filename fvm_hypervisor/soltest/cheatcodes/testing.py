"""Test cheatcodes: assumptions, skipping, and information about the run."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import MAGIC_ASSUME, MAGIC_SKIP, CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.state import AcceptableRevert, AssumeNoRevert
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from fvm_hypervisor.soltest.forks.endpoints import endpoint_url
from hypervisor.errors import InvalidInput

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


@cheatcode("assumeNoRevert()")
def _assume_no_revert(context: Context) -> None:
    _assume_none(context, [])


@cheatcode("assumeNoRevert((address,bool,bytes))")
def _assume_no_revert_of(context: Context, acceptable: tuple[EthAddress, bool, bytes]) -> None:
    _assume_none(context, [acceptable])


@cheatcode("assumeNoRevert((address,bool,bytes)[])")
def _assume_no_reverts(context: Context, acceptable: Sequence[tuple[EthAddress, bool, bytes]]) -> None:
    _assume_none(context, acceptable)


def _assume_none(context: Context, acceptable: Sequence[tuple[EthAddress, bool, bytes]]) -> None:
    if context.state.assume is not None:
        raise CheatcodeFailure("you must make another external call prior to calling assumeNoRevert again")
    reasons = [
        AcceptableRevert(reason, partial, reverter if any(reverter) else None)
        for reverter, partial, reason in acceptable
    ]
    context.state.assume = AssumeNoRevert(context.depth, reasons)


@cheatcode("skip(bool)")
def _skip(context: Context, condition: bool) -> None:
    _skip_for(context, condition, "")


@cheatcode("skip(bool,string)")
def _skip_for(context: Context, condition: bool, reason: str) -> None:
    if not condition:
        return
    if context.depth > 1:
        raise CheatcodeFailure("`skip` can only be used at test level")
    context.cheats.skip_data = MAGIC_SKIP + reason.encode()
    raise CheatcodeFailure(reason, context.cheats.skip_data)


@cheatcode("breakpoint(string)")
def _breakpoint(_context: Context, name: str) -> None:
    if len(name) != 1 or not name.isalpha():
        raise CheatcodeFailure("breakpoints must be exactly one character")


@cheatcode("breakpoint(string,bool)")
def _breakpoint_if(context: Context, name: str, _on: bool) -> None:
    _breakpoint(context, name)


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


@cheatcode("foundryVersionCmp(string)", returns="int256")
def _foundry_compare(_context: Context, version: str) -> int:
    return _compare(version)


@cheatcode("foundryVersionAtLeast(string)", returns="bool")
def _foundry_at_least(_context: Context, version: str) -> bool:
    return _compare(version) >= 0


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
