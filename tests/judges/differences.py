"""Responses of both nodes compared field by field, and the known differences (JUDGE/known.toml).

`fields` are left out wherever both nodes have them. Each of `differences` covers the differences of some methods at
some paths; the first that matches decides. Its conditions are regular expressions: of the whole `subject`, `method`
and `path`, and of a part of the JSON of `params`, of `ours` and of the judge's value (`geth` or `lotus`).
`within = 0.015` covers numbers that differ by at most 1.5 %. Its decision is "by design", "judge's defect" or "to do",
and `count` is its number of requests.

A path has `[]` for an index and `0x` for a key that is an address, a hash or a slot. `refused` is a request that only
we refuse, `accepted` one that only the judge refuses.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.judges.scripts import Request, Scripts

DECISIONS: Final = ("by design", "judge's defect", "to do")
ABSENT: Final = "(absent)"
_DEFECT: Final = -32603
"""Code of an internal error, which only an entry covers whose `ours` names it."""


@dataclass(frozen=True)
class Difference:
    """A field that differs in the responses to a request."""

    subject: str
    number: int
    request: Request
    path: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        params = json.dumps(self.request.params)
        values = f"ours {json.dumps(self.ours)[:160]}, theirs {json.dumps(self.theirs)[:160]}"
        return f"{self.subject} {self.number}: {self.request.method} {params[:200]}: {self.path}: {values}"


@dataclass(frozen=True)
class Known:
    """Listed differences with one reason."""

    reason: str
    decision: str
    count: int
    source: str = ""
    subject: str = ".*"
    method: str = ".*"
    path: str = ".*"
    params: str = ""
    ours: str = ""
    theirs: str = ""
    within: float = 0.0

    def covers(self, found: Difference) -> bool:
        names = ((self.subject, found.subject), (self.method, found.request.method), (self.path, found.path))
        if not all(re.fullmatch(pattern, name) for pattern, name in names):
            return False
        if _is_defect(found) and str(_DEFECT) not in self.ours:
            return False
        parts = ((self.params, found.request.params), (self.ours, found.ours), (self.theirs, found.theirs))
        if not all(not pattern or re.search(pattern, json.dumps(value)) for pattern, value in parts):
            return False
        return not self.within or _is_within(found.ours, found.theirs, self.within)


def _is_defect(found: Difference) -> bool:
    if isinstance(found.ours, str):
        return found.ours.startswith("internal error")  # a judge may have the same code for a refusal
    return found.ours == _DEFECT or (isinstance(found.ours, dict) and found.ours.get("code") == _DEFECT)


def _is_within(ours: Any, theirs: Any, share: float) -> bool:
    left, right = (
        int(each, 0) if isinstance(each, str) and re.fullmatch("0x[0-9a-f]+|[0-9]+", each) else each
        for each in (ours, theirs)
    )
    if not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
        return False
    return abs(right - left) <= right * share


def known_file(scripts: Scripts) -> Path:
    """Return the file of the known differences from a judge."""
    return scripts.folder / "known.toml"


def known_differences(scripts: Scripts) -> tuple[set[str], list[Known]]:
    """Return the names of fields that are left out, and the listed differences."""
    content = tomllib.loads(known_file(scripts).read_text(encoding="utf-8"))
    left_out = {name for group in content["fields"] for name in group["names"]}
    named = {scripts.judge: "theirs"}
    return left_out, [
        Known(**{named.get(key, key): value for key, value in each.items()}) for each in content["differences"]
    ]


def compare(ours: Any, theirs: Any, left_out: set[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield path and values of each difference of two responses."""
    if "error" in ours and "error" not in theirs:
        yield "refused", ours["error"], theirs["result"]
    elif "error" in theirs and "error" not in ours:
        yield "accepted", ours["result"], theirs["error"]
    else:
        yield from _walk(ours, theirs, "", left_out)


def _walk(ours: Any, theirs: Any, path: str, left_out: set[str]) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            if name in left_out and name in ours and name in theirs:
                continue
            below = f"{path}.{'0x' if re.match('0x[0-9a-fA-F]{40}', name) else name}".lstrip(".")
            yield from _walk(ours.get(name, ABSENT), theirs.get(name, ABSENT), below, left_out)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path}.length", len(ours), len(theirs)
        for left, right in zip(ours, theirs, strict=False):
            yield from _walk(left, right, f"{path}[]", left_out)
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield path, ours, theirs


def kind_of(found: list[Difference]) -> str:
    """Return what differs in a response: "equal", "text", "code" (or data) of an error, or "value"."""
    paths = {each.path for each in found}
    if not paths:
        return "equal"
    return (
        "text"
        if paths == {"error.message"}
        else "code"
        if all(each.startswith("error.") for each in paths)
        else "value"
    )


@dataclass
class Comparison:
    """The differences of all requests beside the list."""

    kinds: Counter[str]
    by_entry: list[set[tuple[str, int]]]
    """Requests that each listed difference covers."""
    new: list[Difference]
    known: list[Known]

    def findings(self) -> list[str]:
        """Return new differences, and listed ones that are gone or whose count is another."""
        found = [f"new: {each}" for each in self.new]
        for entry, covered in zip(self.known, self.by_entry, strict=True):
            what = f"{entry.reason} ({entry.method} {entry.path})"
            if not covered:
                found.append(f"gone, so remove it from known.toml: {what}")
            elif len(covered) != entry.count:
                found.append(f"{len(covered)} requests instead of {entry.count}; --count corrects known.toml: {what}")
        return found


def beside_list(differences: Iterable[list[Difference]], known: list[Known]) -> Comparison:
    """Compare the differences of each request with the list."""
    result = Comparison(Counter(), [set() for _ in known], [], known)
    for found in differences:
        result.kinds[kind_of(found)] += 1
        for each in found:
            for entry, covered in zip(known, result.by_entry, strict=True):
                if entry.covers(each):
                    covered.add((each.subject, each.number))
                    break
            else:
                result.new.append(each)
    return result


def corrected(text: str, comparison: Comparison) -> str:
    """Return known.toml with the present counts; entries without differences stay as they are."""
    counts = iter(comparison.by_entry)
    return re.sub(r"(?m)^count = (\d+)$", lambda found: f"count = {len(next(counts)) or found[1]}", text)
