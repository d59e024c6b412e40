"""Compilation of submitted sources, with limits of time and memory.

The compiler reads the sources from its standard input. It runs in an empty folder, so that an import cannot include a
file of this machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.artifact import ContractArtifact
from fvm_hypervisor.soltest.compiler import CompileError, CompilerRun, RunLimits, Solc
from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.solc_choice import SolcChoice
from fvm_hypervisor.soltest.solc_packages import known_releases
from fvm_hypervisor.verification.submission import Submission, VerificationError
from hypervisor.errors import InvalidInput

SECONDS: Final = 120.0
"""Time limit of a compilation."""
MEMORY: Final = 2 << 30
"""Memory limit of a compilation in bytes."""
OUTPUT: Final = 16 << 20
"""Limit of the compiler's output in bytes; parsing takes some ten times as much memory in the node's process."""
_OUTPUTS: Final = (
    "abi", "metadata", "userdoc", "devdoc", "storageLayout", "evm.bytecode.object", "evm.bytecode.sourceMap",
    "evm.bytecode.linkReferences", "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap",
    "evm.deployedBytecode.linkReferences", "evm.deployedBytecode.immutableReferences",
)  # fmt: skip
_MAX_MESSAGES: Final = 4_000
"""Maximum length of the compiler's messages in characters."""

ChooseSolc = Callable[[str], Solc]
"""Returns the compiler of a release. Raises VerificationError or InvalidInput."""
Started = Callable[[CompilerRun | None], None]
"""Callback that receives the compiler's process when it starts, and None when it has ended."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled contract: its code and ABI, the compiler's output for it, and the time taken in seconds."""

    artifact: ContractArtifact
    output: Mapping[str, Any]
    seconds: float


def solc_of(release: str, offline: bool = False) -> Solc:
    """Return the compiler of a release, downloaded if it is missing and not `offline`.

    Raises VerificationError for an unknown release, InvalidInput if it cannot be installed.
    """
    choice = SolcChoice(Project(Path.cwd(), offline=offline), use=release)
    found = choice.installed_solc()
    if found is None and release not in known_releases():
        raise VerificationError(
            "invalid_compiler_version",
            f"solc {release} is not a known release: install it, for example with `hypervisor test --use {release}`",
        )
    return choice.solc() if found is None else found


def compile_submission(
    submission: Submission, choose: ChooseSolc = solc_of, started: Started = lambda _: None
) -> Compiled:
    """Compile a submission. Raises VerificationError."""
    try:
        solc = choose(submission.release)
    except InvalidInput as error:
        raise VerificationError("invalid_compiler_version", str(error)) from None
    begin = time.monotonic()
    solc_output = _run(solc, submission, started)
    seconds = time.monotonic() - begin
    output = _contract(solc_output, submission)
    _check_compiler(output, submission)
    try:
        artifact = ContractArtifact.of(submission.name, submission.file, {"abi": output.get("abi"), **output["evm"]})
    except (InvalidInput, KeyError, TypeError) as error:
        raise VerificationError("no_compiler_output", f"the compiler's output is incomplete: {error}") from None
    if not artifact.runtime.object or not artifact.creation.object:
        raise VerificationError(
            "compiled_bytecode_is_zero",
            f"{submission.file}:{submission.name} has no code: it is abstract or an interface",
        )
    return Compiled(artifact, output, seconds)


def _run(solc: Solc, submission: Submission, started: Started) -> dict[str, Any]:
    source_json = orjson.loads(submission.source_json)
    source_json["settings"]["outputSelection"] = {submission.file: {submission.name: list(_OUTPUTS)}}
    with TemporaryDirectory(prefix="hypervisor-solc-") as folder:
        try:
            run = solc.start(RunLimits(MEMORY, OUTPUT, Path(folder)))
            started(run)
            return run.compile(source_json, SECONDS)
        except (CompileError, InvalidInput, OSError) as error:
            raise VerificationError("compiler_error", f"{error}"[:_MAX_MESSAGES]) from None
        finally:
            started(None)


def _contract(solc_output: Mapping[str, Any], submission: Submission) -> Mapping[str, Any]:
    """Return the output for the contract. Raises VerificationError with the compiler's errors."""
    errors = [found for found in solc_output.get("errors") or () if found.get("severity") == "error"]
    if errors:
        texts = (str(found.get("formattedMessage") or found.get("message")).strip() for found in errors)
        raise VerificationError("compiler_error", f"Compiler error. {'; '.join(texts)}"[:_MAX_MESSAGES])
    found = (solc_output.get("contracts") or {}).get(submission.file, {}).get(submission.name)
    if not isinstance(found, Mapping):
        raise VerificationError(
            "contract_not_found_in_compiler_output",
            f"there is no contract {submission.name!r:.200} in {submission.file!r:.200}",
        )
    return found


def _check_compiler(output: Mapping[str, Any], submission: Submission) -> None:
    """Raise VerificationError if the compiler of this release was built from another commit than the request names."""
    try:
        version = orjson.loads(output["metadata"])["compiler"]["version"]
    except (KeyError, TypeError, ValueError):
        raise VerificationError("metadata_not_set", "the compiler's output has no metadata") from None
    if version != submission.compiler:
        raise VerificationError(
            "invalid_compiler_version", f"solc {submission.release} is {version}, not {submission.compiler}"
        )
