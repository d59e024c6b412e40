"""Pages of a comparison that `hypervisor compare --json` has written: a table of calls, and the difference of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from localnet.explorer.site import (
    ComparedCall,
    PageRequest,
    PageResponse,
    RecordedComparison,
    Site,
    not_found,
    parse_number,
)
from localnet.rpc.node import NodeReader
from store.untrusted import parse_json

MAX_BYTES: Final = 64 << 20
"""Maximum size of a comparison's file in bytes."""
_CALLS: Final = 100
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


def read_comparison(path: Path) -> RecordedComparison:
    """Read the output of `hypervisor compare --json`. Raises InvalidInput."""
    data = read_bounded(path, MAX_BYTES, "the comparison")
    try:
        found = parse_json(data)
        return RecordedComparison(
            str(found["a"]["words"]),
            str(found["b"]["words"]),
            int(found["messages"]),
            tuple(_call(number, change) for number, change in enumerate(found["changes"])),
            tuple((str(each["case"]), str(each["reason"])) for each in found["skipped"]),
        )
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path} is not a comparison ({error!r:.100}): write one with `hypervisor compare ... --json > {path.name}`"
        ) from None


def _call(number: int, change: Mapping[str, Any]) -> ComparedCall:
    first = change["explanation"] or change["first"] or {"words": ()}
    more = change["enough_gas"]
    (gas, other_gas), (end, other_end) = change["gas"], change["ends"]
    return ComparedCall(
        number,
        str(change["case"]),
        str(change["message"]),
        ", ".join(map(str, change["kinds"])),
        (int(gas), int(other_gas)),
        (str(end), str(other_end)),
        tuple(map(str, first.get("path", ()))),
        tuple(map(str, first["words"])),
        f"{more['end']}, gas {more['gas']:,}" if more else "",
    )


def show_comparison(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the table of the calls that differ, in the order of the chain."""
    found = _comparison(site)
    first = min(request.number("from", 0), max(0, len(found.calls) - 1))
    last = min(first + _CALLS, len(found.calls))
    return PageResponse(
        site.page(
            reader,
            "comparison.html",
            found=found,
            calls=found.calls[first:last],
            first=first,
            more=None if last >= len(found.calls) else last,
        )
    )


def show_compared_call(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the difference of one call."""
    found = _comparison(site)
    number = parse_number(request.path_params["number"], "the call's number")
    if number >= len(found.calls):
        raise not_found(f"the comparison has {len(found.calls):,} calls that differ, numbered from 0")
    call = found.calls[number]
    is_linked = _HASH.fullmatch(call.message) is not None and (
        reader.network.chain.index.receipt(bytes.fromhex(call.message[2:])) is not None
    )
    return PageResponse(site.page(reader, "compared_call.html", found=found, call=call, is_linked=is_linked))


def _comparison(site: Site) -> RecordedComparison:
    if site.comparison is None:
        raise not_found("this explorer has no comparison: start `hypervisor explore --comparison FILE`")
    return site.comparison
