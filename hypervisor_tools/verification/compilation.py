"""A verification request, and its compilation with limits of time and memory.

A request is the compiler's standard JSON input, its version, and the contract's name. Requests are untrusted; the
fields, error codes and statuses are those of Sourcify's API v2. The compiler reads the sources from its standard input.
It runs in an empty folder, so that an import cannot include a file of this machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerRun, RunLimits, Solc
from hypervisor_tools.soltest.compile.releases import known_releases
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.verification.creation_code import HASH

_VERSION: Final = re.compile(
    r"v?((\d{1,4}\.\d{1,4}\.\d{1,4})(-nightly\.\d{4}\.\d{1,2}\.\d{1,2})?\+commit\.[0-9a-f]{8})"
)
_MAX_SOURCES: Final = 5_000
_MAX_NAME: Final = 1_024
"""Maximum length of a source's or contract's name in characters."""
_IGNORED: Final = ("modelChecker", "outputSelection")
"""Ignored settings, which do not affect the code. The model checker would start other programs."""


class VerificationError(HypervisorError):
    """Raised if a contract cannot be verified. `code` is Sourcify's error code, `status` that of an HTTP response."""

    has_lines = True

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def invalid_parameter(text: str) -> VerificationError:
    """Return the error for a malformed request."""
    return VerificationError("invalid_parameter", text)


@dataclass(frozen=True, slots=True)
class Submission:
    """Sources and settings of a contract. `source_json` is the compiler's input without a choice of outputs.

    `file` and `name` identify the contract. `compiler` is the version with its commit, `release` the number alone.
    """

    source_json: bytes
    compiler: str
    release: str
    file: str
    name: str
    transaction: str | None = None

    @classmethod
    def of(cls, body: Any) -> Submission:
        """Return the submission in the JSON body of a request. Raises VerificationError."""
        if not isinstance(body, dict):
            raise invalid_parameter("the body is not a JSON object")
        source_json = _source_json(body.get("stdJsonInput"))
        compiler, release = _compiler(body.get("compilerVersion"))
        file, name = _identifier(body.get("contractIdentifier"))
        if file not in source_json["sources"]:
            names = ", ".join(sorted(source_json["sources"]))
            raise invalid_parameter(f"there is no source {file!r:.200} in stdJsonInput, which has {names:.400}")
        transaction = body.get("creationTransactionHash")
        if transaction is not None and not (isinstance(transaction, str) and HASH.fullmatch(transaction)):
            raise invalid_parameter(
                f"creationTransactionHash is {transaction!r:.80}: expected a transaction's hash, 0x and 64 hex digits"
            )
        return cls(orjson.dumps(source_json), compiler, release, file, name, transaction)


def _source_json(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise invalid_parameter("stdJsonInput is missing or not an object: pass the compiler's standard JSON input")
    language = found.get("language")
    if language != "Solidity":
        raise VerificationError("unsupported_language", f"the language {language!r:.80} is not supported: use Solidity")
    sources, settings = found.get("sources"), found.get("settings", {})
    if not isinstance(sources, dict) or not 0 < len(sources) <= _MAX_SOURCES:
        raise invalid_parameter(f"stdJsonInput.sources is not an object with 1 to {_MAX_SOURCES} sources")
    if not isinstance(settings, dict):
        raise invalid_parameter("stdJsonInput.settings is not an object")
    return {
        "language": language,
        "sources": {_source_name(name): {"content": _content(name, source)} for name, source in sources.items()},
        "settings": {name: value for name, value in settings.items() if name not in _IGNORED},
    }


def _source_name(name: str) -> str:
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise invalid_parameter(f"the name of a source is {name!r:.80}: expected 1 to {_MAX_NAME} printable characters")
    return name


def _content(name: str, source: Any) -> str:
    content = source.get("content") if isinstance(source, Mapping) else None
    if not isinstance(content, str):
        raise invalid_parameter(f"the source {name!r:.200} has no content: URLs are not fetched, pass the text itself")
    return content


def _compiler(found: Any) -> tuple[str, str]:
    version = _VERSION.fullmatch(found) if isinstance(found, str) else None
    if version is None:
        raise invalid_parameter(
            f"compilerVersion is {found!r:.80}: expected a version with its commit, such as 0.8.30+commit.73712a01"
        )
    if version[3]:
        raise VerificationError("invalid_compiler_version", f"{found} is a nightly build: only releases are available")
    return version[1], version[2]


def _identifier(found: Any) -> tuple[str, str]:
    file, _, name = found.rpartition(":") if isinstance(found, str) else ("", "", "")
    if not file or not name or len(found) > 2 * _MAX_NAME:
        raise invalid_parameter(
            f"contractIdentifier is {found!r:.80}: expected the source and the contract, such as src/Vault.sol:Vault"
        )
    return file, name


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
