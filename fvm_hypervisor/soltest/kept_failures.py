"""What failed in the last run, kept as forge keeps it: names of tests, inputs of fuzz tests, sequences of invariants.

`cache/test-failures` has the names for `--rerun`; `<failure_persist_dir>/failures/<contract>/<test>` has what made a
test fail, which its next run begins with. forge's files are read; forge reads names and inputs of those written here,
and passes the sequences by (it wants the test's settings in them). A file that is not one of these is passed by: it
costs a replay, not a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.results import CaseKind, CaseStatus, CounterExample, SuiteResult, TestResult
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded
from store.json_text import parse_json

_LARGEST: Final = 16 << 20
"""Bytes of a file."""
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_$]")

_SCIENTIFIC: Final = re.compile(r" \[-?[0-9.]+e[0-9]+\]")
"""The short form that forge shows behind a long number."""


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call of a sequence that failed: who called whom, with what."""

    sender: bytes
    address: bytes
    calldata: bytes


def failed_names(project: Project) -> str | None:
    """The tests that failed in the last run, as a regular expression; None where there is nothing of them."""
    try:
        text = read_bounded(project.root / project.test_failures, _LARGEST, "the file").decode()
    except (OSError, ValueError, InvalidInput):
        return None
    return text.strip() or None


def keep_failures(project: Project, suites: Iterable[SuiteResult]) -> None:
    """Write what failed, if anything did. Raises InvalidInput where that cannot be."""
    failed = [
        (suite, test) for suite in suites for test in suite.tests if test.status is CaseStatus.FAILURE
    ]  # fmt: skip
    if not failed:
        return
    try:
        names = dict.fromkeys(bare_name(test.signature) for _, test in failed)
        write_inside(project.root, project.root / project.test_failures, "|".join(names).encode())
        for suite, test in failed:
            if test.counterexample and not test.is_replayed and test.kind is not CaseKind.TABLE:
                file = failure_file(project, test.kind, suite.contract, test.signature)
                write_inside(project.root, file, json.dumps(_content(test), separators=(",", ":")).encode())
    except OSError as error:
        raise InvalidInput(f"failures cannot be kept in {project.root / project.cache}: {error.strerror}") from None


def failure_file(project: Project, kind: CaseKind, contract: str, signature: str) -> Path:
    """Where what made a test fail is kept."""
    folder = project.invariant.failures if kind is CaseKind.INVARIANT else project.fuzz.failures
    return project.root / folder / "failures" / contract / bare_name(signature)


def kept_input(project: Project, contract: str, signature: str) -> bytes | None:
    """The calldata with which a fuzz test has failed; that of `--fuzz-input-file`, if one is given."""
    given = project.fuzz.input_file
    content = _read(failure_file(project, CaseKind.FUZZ, contract, signature) if given is None else Path(given))
    return None if content is None else hex_bytes(content.get("calldata"))


def kept_sequence(project: Project, contract: str, signature: str) -> tuple[KeptCall, ...]:
    """The calls with which an invariant test has failed; none where that is not known."""
    content = _read(failure_file(project, CaseKind.INVARIANT, contract, signature))
    rows = None if content is None else content.get("call_sequence")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ()
    found = []
    for row in rows:
        sender, address, calldata = (hex_bytes(row.get(name)) for name in ("sender", "addr", "calldata"))
        if sender is None or address is None or calldata is None or len(sender) != 20 or len(address) != 20:
            return ()
        found.append(KeptCall(sender, address, calldata))
    return tuple(found)


def bare_name(signature: str) -> str:
    """A test's name, as forge names files after it; never a path."""
    return _NOT_A_NAME.sub("_", signature.partition("(")[0])


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        content = parse_json(read_bounded(file, _LARGEST, "the file"))
    except (OSError, ValueError, InvalidInput):
        return None
    return content if isinstance(content, dict) else None


def hex_bytes(text: object) -> bytes | None:
    """What a file has as `0x...`; None for all else."""
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None


def _content(test: TestResult) -> dict[str, Any]:
    if test.kind is CaseKind.FUZZ:
        return _row(test.counterexample[0])
    return {"call_sequence": _rows(test.counterexample), "settings": None, "assertion_failure": False}


def _rows(steps: Sequence[CounterExample]) -> list[dict[str, Any]]:
    return [_row(step) for step in steps]


def _row(step: CounterExample) -> dict[str, Any]:
    """forge's form of a call: what a fuzz test's input has none of is null."""
    return {
        "warp": None,
        "roll": None,
        "sender": step.sender.lower() or None,
        "addr": step.address.lower() or None,
        "calldata": f"0x{step.calldata.hex()}",
        "contract_name": step.contract or None,
        "func_name": step.signature.partition("(")[0] or None,
        "signature": step.signature or None,
        "args": step.arguments,
        "raw_args": _SCIENTIFIC.sub("", step.arguments),
    }
