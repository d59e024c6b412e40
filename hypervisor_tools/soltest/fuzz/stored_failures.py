"""Failures of the last run in forge's format: test names, fuzz inputs and invariant sequences.

`cache/test-failures` has the names for `--rerun`; `<failure_persist_dir>/failures/<contract>/<test>` has the failing
input, with which the test's next run begins. Files of forge are read; forge reads the names and inputs written here but
ignores the sequences (it expects the test's settings in them). A damaged file is skipped with a notice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor.text import printable
from hypervisor_tools.soltest.execution.results import (
    NO_DELAY,
    BlockDelay,
    CaseKind,
    CaseStatus,
    SuiteResult,
    TestResult,
    read_delay,
)
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import Project
from store.untrusted import parse_json

_MAX_FILE_BYTES: Final = 16 << 20
"""Maximum size of a file in bytes."""
_MAX_PATH: Final = 4096
"""Maximum number of characters of a path in an error."""
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_$]")


class StoredCall(NamedTuple):
    """A call of a failed sequence: caller, callee and calldata, and the delay before it."""

    sender: bytes
    address: bytes
    calldata: bytes
    delay: BlockDelay = NO_DELAY


def failed_names(project: Project) -> str | None:
    """Return the tests that failed in the last run as a regular expression, or None if there are none."""
    try:
        text = read_bounded(project.root / project.test_failures, _MAX_FILE_BYTES, "the file").decode()
    except (OSError, ValueError, InvalidInput):
        return None
    return text.strip() or None


def write_failures(project: Project, suites: Iterable[SuiteResult], left: Collection[str] = ()) -> None:
    """Write the failures, if any. Raises InvalidInput if a write fails.

    `left` are the signatures of tests that an interrupted run left out: their earlier failures are kept.
    """
    failed = [
        (suite, test) for suite in suites for test in suite.tests if test.status is CaseStatus.FAILURE
    ]  # fmt: skip
    if not failed:
        return
    unknown = {bare_name(signature) for signature in left}
    kept = [name for name in (failed_names(project) or "").split("|") if name in unknown]
    names = dict.fromkeys([*(bare_name(test.signature) for _, test in failed), *kept])
    files = {project.root / project.test_failures: "|".join(names)}
    for suite, test in failed:
        if test.counterexample and not test.is_replayed and test.kind is not CaseKind.TABLE:
            file = failure_file(project, test.kind, suite.contract, test.signature)
            files[file] = json.dumps(_content(test), separators=(",", ":"))
    refused = []
    for file, text in files.items():
        try:
            write_inside(project.root, file, text.encode())
        except OSError as error:
            refused.append(f"{file}: {error.strerror}")
    if refused:
        raise InvalidInput(f"{len(refused)} files of failures cannot be written, such as {refused[0]}")


def write_corpus_file(root: Path, path: Path, data: bytes) -> None:
    """Write a file of a corpus below `root`. Raises InvalidInput if it cannot be written."""
    try:
        write_inside(root, path, data)
    except OSError as error:
        raise InvalidInput(f"the corpus cannot be written to {path.parent}: {error.strerror}") from None


def failure_file(project: Project, kind: CaseKind, contract: str, signature: str) -> Path:
    """Return the path of a test's failing input."""
    folder = project.invariant.failures if kind is CaseKind.INVARIANT else project.fuzz.failures
    return project.root / folder / "failures" / contract / bare_name(signature)


def load_failing_input(project: Project, contract: str, signature: str) -> bytes | None:
    """Return the calldata of a fuzz test's earlier failure, or that of `--fuzz-input-file` if given.

    None without a file. Raises InvalidInput if it is damaged.
    """
    file = project.fuzz.input_file
    path = failure_file(project, CaseKind.FUZZ, contract, signature) if file is None else Path(file)
    return read_input(path) if _exists(path) else None


def read_input(file: Path) -> bytes:
    """Return the calldata in a fuzz test's stored failure. Raises InvalidInput if it is damaged."""
    calldata = hex_bytes(_read(file).get("calldata"))
    if calldata is None:
        raise _damaged(file, "its `calldata` is not bytes in hex")
    return calldata


def load_failing_sequence(project: Project, contract: str, signature: str) -> tuple[StoredCall, ...]:
    """Return the calls of an invariant test's earlier failure; empty without a file.

    Raises InvalidInput if the file is damaged.
    """
    file = failure_file(project, CaseKind.INVARIANT, contract, signature)
    if not _exists(file):
        return ()
    rows = _read(file).get("call_sequence")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _damaged(file, "its `call_sequence` is not a list of calls")
    found = []
    for number, row in enumerate(rows, 1):
        sender, address, calldata = (hex_bytes(row.get(name)) for name in ("sender", "addr", "calldata"))
        delay = read_delay(row)
        if sender is None or address is None or calldata is None or len(sender) != 20 or len(address) != 20:
            raise _damaged(file, f"`sender`, `addr` or `calldata` of call {number} is not hex of the right length")
        if delay is None:
            raise _damaged(file, f"`warp` or `roll` of call {number} is not a number below 2^64 in hex")
        found.append(StoredCall(sender, address, calldata, delay))
    return tuple(found)


def bare_name(signature: str) -> str:
    """Return a test's name as forge uses it for file names; never a path."""
    return _NOT_A_NAME.sub("_", signature.partition("(")[0])


def _exists(file: Path) -> bool:
    """Return True unless there is no such file; an unreadable one is an error of `_read`."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        pass
    return True


def _read(file: Path) -> Mapping[str, Any]:
    """Return the object in a file. Raises InvalidInput."""
    data = read_bounded(file, _MAX_FILE_BYTES, "the stored failure")
    try:
        content = parse_json(data)
    except ValueError:
        raise _damaged(file, "it is not valid JSON") from None
    if not isinstance(content, dict):
        raise _damaged(file, "it is not a JSON object")
    return content


def _damaged(file: Path, defect: str) -> InvalidInput:
    return InvalidInput(
        f"the stored failure {printable(str(file), _MAX_PATH)} cannot be used: {defect}; repair or remove it"
    )


def hex_bytes(text: object) -> bytes | None:
    """Return the bytes of a `0x...` string; None for everything else."""
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None


def _content(test: TestResult) -> dict[str, Any]:
    if test.kind is CaseKind.FUZZ:
        return test.counterexample[0].forge_json()
    calls = [call.forge_json() for call in test.counterexample]
    return {"call_sequence": calls, "settings": None, "assertion_failure": False}
