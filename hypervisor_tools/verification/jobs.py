"""Verification jobs: a bounded queue in the background, the results of the latest jobs, and the verdict.

The verdict has the rules of Sourcify:

- `exact_match`: the code is equal, including the metadata hash, so the sources are those of the deployment.
- `match`: the code is equal except for metadata, or has no metadata hash that identifies the sources.

Immutable values, library addresses and the address in a library's own code are taken from the chain.
Source: Sourcify's documentation, "Exact Match vs Match", and its library's order of checks.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from threading import Lock, Semaphore, Thread
from typing import Any, Final

import orjson

from bridge.ethereum.addresses import checksummed, eth_address
from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.compile.compiler import CompilerRun
from hypervisor_tools.soltest.trace.bytecode_match import Match, has_metadata_hash, match_creation, match_runtime
from hypervisor_tools.soltest.trace.known_code import Pattern
from hypervisor_tools.verification.compilation import (
    ChooseSolc,
    Compiled,
    Submission,
    VerificationError,
    compile_submission,
    solc_of,
)
from hypervisor_tools.verification.creation_code import CreationCode, NoCreationCode, are_arguments, hex_data
from hypervisor_tools.verification.store import VerifiedContracts
from localnet.fork.node_client import NodeClient, NodeError
from store.keccak import keccak

_LOG = logging.getLogger(__name__)
WORKERS: Final = 2
"""Number of concurrent compilations."""
MAX_WAITING: Final = 16
"""Maximum number of jobs that run or wait; each holds the sources of a request."""
MAX_FINISHED: Final = 1_000
"""Number of latest jobs whose results are available."""
_GRACE: Final = 2.0
"""Seconds to wait for running jobs to end after their compilers were stopped."""


@dataclass(slots=True)
class Job:
    """A verification of the contract at an address (`0x` and lower-case hex). Times in ISO 8601."""

    chain: int
    address: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: str = field(default_factory=lambda: _now())
    finished: str | None = None
    milliseconds: int | None = None
    error: Mapping[str, Any] | None = None
    match: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the job in the form of Sourcify's API v2."""
        return {
            "isJobCompleted": self.finished is not None,
            "verificationId": self.id,
            "jobStartTime": self.started,
            **({} if self.finished is None else {"jobFinishTime": self.finished}),
            **({} if self.milliseconds is None else {"compilationTime": str(self.milliseconds)}),
            **({} if self.error is None else {"error": self.error}),
            "contract": self.match or unverified(self.chain, self.address),
        }


class Verifier:
    """Verifies contracts of a node in the background and stores those that match.

    `url` returns the node's URL. `choose` returns the compiler of a release.
    """

    def __init__(self, url: Callable[[], str], stored: VerifiedContracts, choose: ChooseSolc = solc_of) -> None:
        self._url, self.stored, self._choose = url, stored, choose
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._free = Semaphore(WORKERS)
        self._threads: dict[str, Thread] = {}
        self._running: dict[str, CompilerRun] = {}
        self._closed = False

    def submit(self, chain: int, address: str, submission: Submission) -> str:
        """Start a job and return its ID. Raises VerificationError if there are too many."""
        with self._lock:
            waiting = [job for job in self._jobs.values() if job.finished is None]
            if any(job.address == address for job in waiting):
                raise VerificationError(
                    "duplicate_verification_request",
                    f"Contract {_format(address)} on chain {chain} is already being verified",
                    429,
                )
            if len(waiting) >= MAX_WAITING or self._closed:
                text = f"{len(waiting)} verifications are running or waiting, at most {MAX_WAITING}: try again later"
                raise VerificationError("too_many_requests", text, 503)
            job = Job(chain, address)
            self._jobs[job.id] = job
            for old in [each.id for each in self._jobs.values() if each.finished is not None][:-MAX_FINISHED]:
                del self._jobs[old]
            # A daemon: the end of the process does not wait for a request to a node that has stopped.
            thread = Thread(target=self._run, args=(job, submission), name="verification", daemon=True)
            self._threads[job.id] = thread
            thread.start()
        return job.id

    def job(self, name: str) -> Job | None:
        """Return a job by its ID, or None."""
        with self._lock:
            return self._jobs.get(name)

    def close(self) -> None:
        """Stop the compilers that run, and drop the jobs that wait. Threads get a short time to end."""
        with self._lock:
            self._closed = True
            threads = list(self._threads.values())
            for run in self._running.values():
                run.stop()
        deadline = time.monotonic() + _GRACE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, job: Job, submission: Submission) -> None:
        with self._free:
            try:
                if not self._closed:
                    job.match = self._verify(job, submission)
            except VerificationError as error:
                job.error = error_body(error.code, str(error))
            except Exception as error:  # noqa: BLE001  # report any failure
                _LOG.exception("the verification of %s failed", job.address)
                text = f"the verification failed: {type(error).__name__}: {error}"[:1000]
                job.error = error_body("internal_error", text)
            job.finished = _now()
        with self._lock:
            del self._threads[job.id]

    def _verify(self, job: Job, submission: Submission) -> Mapping[str, Any]:
        with NodeClient(self._url()) as node:
            runtime = _runtime(node, job)
            created = _creation(node, job.address, submission.transaction)
        made = compile_submission(submission, self._choose, lambda run: self._set_running(job.id, run))
        job.milliseconds = round(1000 * made.seconds)
        found = verdict(made.artifact, runtime, None if created is None else created[1])
        known = self.stored.get(job.address)
        if known is not None and is_current(known, runtime) and not found.improves(_verdict_of(known["summary"])):
            raise VerificationError(
                "already_verified", "The contract is already verified and the job didn't yield a better match."
            )
        summary = _summary(job, found)
        entry = {
            "summary": summary,
            "codeHash": keccak(runtime).hex(),
            "fields": _fields(made, submission, runtime, created),
        }
        self.stored.put(job.address, entry)
        self._register_name(job.address, made)
        return summary

    def _register_name(self, address: str, made: Compiled) -> None:
        with suppress(NodeError), NodeClient(self._url()) as node:  # the node has too many interfaces
            node.request("hypervisor_addAbi", made.artifact.abi, address, made.artifact.name)

    def _set_running(self, job: str, run: CompilerRun | None) -> None:
        with self._lock:
            if run is None:
                self._running.pop(job, None)
            else:
                self._running[job] = run
                if self._closed:
                    run.stop()


def unverified(chain: int, address: str) -> dict[str, Any]:
    """Return the summary of a contract that is not verified."""
    return {
        "match": None,
        "creationMatch": None,
        "runtimeMatch": None,
        "chainId": str(chain),
        "address": _format(address),
    }


def error_body(code: str, message: str) -> dict[str, str]:
    """Return the JSON body of an error."""
    return {"customCode": code, "message": message, "errorId": str(uuid.uuid4())}


def is_current(entry: Mapping[str, Any], runtime: bytes) -> bool:
    """Return True if a stored contract is the one that is deployed now: the chain may have been reverted."""
    return bool(runtime) and entry.get("codeHash") == keccak(runtime).hex()


def _runtime(node: NodeClient, job: Job) -> bytes:
    try:
        code = node.read(hex_data, "eth_getCode", job.address, "latest")
    except NodeError as error:
        raise VerificationError(
            "cannot_fetch_bytecode", f"Cannot fetch bytecode for chain #{job.chain} and address {job.address}: {error}"
        ) from None
    if not code:
        raise VerificationError(
            "contract_not_deployed", f"Chain #{job.chain} does not have a contract deployed at {_format(job.address)}."
        )
    return code


def _creation(node: NodeClient, address: str, transaction: str | None) -> tuple[str, bytes] | None:
    """Return the creation transaction and the init code; None if they are unknown, as on a fork."""
    search = CreationCode(node, address)
    try:
        return search.find() if transaction is None else (transaction, search.of_transaction(transaction))
    except (NodeError, NoCreationCode):
        return None


def _summary(job: Job, found: Verdict) -> dict[str, Any]:
    return {
        "match": found.best,
        "creationMatch": found.creation,
        "runtimeMatch": found.runtime,
        "chainId": str(job.chain),
        "address": _format(job.address),
        "verifiedAt": _now(),
        "matchId": str(time.time_ns() // 1000),
    }


def _fields(
    made: Compiled, submission: Submission, runtime: bytes, created: tuple[str, bytes] | None
) -> dict[str, Any]:
    """Return the optional fields of a response about a verified contract (`fields` in the API)."""
    source_json, evm = orjson.loads(submission.source_json), made.output["evm"]
    return {
        "creationBytecode": _bytecode(evm["bytecode"], None if created is None else created[1]),
        "runtimeBytecode": _bytecode(evm["deployedBytecode"], runtime)
        | {"immutableReferences": evm["deployedBytecode"].get("immutableReferences")},
        "deployment": {"transactionHash": None if created is None else created[0]},
        "sources": source_json["sources"],
        "compilation": {
            "language": source_json["language"],
            "compiler": "solc",
            "compilerVersion": submission.compiler,
            "compilerSettings": source_json["settings"],
            "name": submission.name,
            "fullyQualifiedName": f"{submission.file}:{submission.name}",
        },
        "abi": made.output["abi"],
        "metadata": orjson.loads(made.output["metadata"]),
        "storageLayout": made.output.get("storageLayout"),
        "userdoc": made.output.get("userdoc"),
        "devdoc": made.output.get("devdoc"),
        "stdJsonInput": source_json,
    }


def _bytecode(found: Mapping[str, Any], onchain: bytes | None) -> dict[str, Any]:
    return {
        "onchainBytecode": None if onchain is None else f"0x{onchain.hex()}",
        "recompiledBytecode": f"0x{found['object']}",
        "sourceMap": found.get("sourceMap"),
        "linkReferences": found.get("linkReferences"),
    }


def _verdict_of(summary: Mapping[str, Any]) -> Verdict:
    creation, runtime = (summary.get(name) for name in ("creationMatch", "runtimeMatch"))
    return Verdict(creation and MatchLevel(creation), runtime and MatchLevel(runtime))


def _format(address: str) -> str:
    return checksummed(eth_address(bytes.fromhex(address[2:])))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class MatchLevel(StrEnum):
    """Match of code with a contract, in Sourcify's terms."""

    EXACT = "exact_match"
    MATCH = "match"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Matches of the creation code and of the runtime code; None if they differ or are unknown."""

    creation: MatchLevel | None
    runtime: MatchLevel | None

    @property
    def best(self) -> MatchLevel | None:
        """The better of both."""
        return max((self.creation, self.runtime), key=_rank)

    def improves(self, other: Verdict) -> bool:
        """Return True if one part matches better than in the other verdict, and none worse."""
        mine, theirs = ((_rank(each.creation), _rank(each.runtime)) for each in (self, other))
        return mine != theirs and all(new >= old for new, old in zip(mine, theirs, strict=True))


def verdict(artifact: ContractArtifact, runtime: bytes, init_code: bytes | None) -> Verdict:
    """Compare a compiled contract with deployed code, and with the init code if it is known.

    Raises VerificationError if neither matches.
    """
    try:
        compiled = Pattern.of(artifact.runtime).code
        matched = match_runtime(artifact.runtime, runtime)
        created = None if init_code is None else match_creation(artifact.creation, init_code)
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError("no_compiler_output", f"the compiler's code cannot be read: {error}") from None
    identified = has_metadata_hash(compiled)
    if len(compiled) != len(runtime) and has_metadata_hash(runtime):
        raise VerificationError(
            "bytecode_length_mismatch",
            f"the compiled code has {len(compiled)} bytes, the code on the chain {len(runtime)}: the sources, the "
            "compiler version or its settings differ",
        )
    creation = None
    if created is not None and are_arguments(artifact.abi, created[1]):
        creation = _level(created[0], identified)
    found = Verdict(creation, _level(matched, identified))
    if found.best is None:
        raise VerificationError(
            "no_match",
            "the compiled code and the code on the chain differ: the sources, the compiler version or its settings "
            "are not those of the deployment",
        )
    return found


def _level(found: Match | None, identified: bool) -> MatchLevel | None:
    if found is None:
        return None
    return MatchLevel.EXACT if found is Match.FULL and identified else MatchLevel.MATCH


def _rank(level: MatchLevel | None) -> int:
    return (None, MatchLevel.MATCH, MatchLevel.EXACT).index(level)
