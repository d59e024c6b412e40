"""Records of sent scripts, in forge's files: `broadcast/<script>/<chain>/run-latest.json` and a copy by time.

Without sent transactions, the folder is `dry-run/` below that. For functions other than `run` the file has their name.
A run over several networks is one file, `broadcast/multi/<script>-latest/run.json`; the URLs of the nodes, which may
contain a key, are in a file of the same name in the project's cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists, read_bounded
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.scripts.plan import PlannedTransaction, ScriptPlan
from store.untrusted import parse_json

_MAX_RECORD_BYTES: Final = 256 << 20
"""Maximum size of a record in bytes."""
_MULTI: Final = "multi"
_NOT_SENT: Final = ("authorizationList", "blobVersionedHashes", "blobs", "sidecar")
"""Fields of transactions of types 3 and 4 in forge's records."""


@dataclass(slots=True)
class ScriptRecord:
    """A run of a script on a chain. Transactions and receipts are in forge's format; times in milliseconds."""

    root: Path
    folder: str
    name: str
    chain: int
    timestamp: int
    transactions: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    returns: dict[str, Any] = field(default_factory=dict)
    is_sent: bool = True
    libraries: list[str] = field(default_factory=list)
    whole: MultiRecord | None = None
    """The record of several networks that contains this one, and is written instead."""

    @property
    def latest(self) -> Path:
        """File of the latest run."""
        return self._output_folder / f"{self.name}-latest.json" if self.whole is None else self.whole.latest

    @property
    def _output_folder(self) -> Path:
        folder = self.root / self.folder / str(self.chain)
        return folder if self.is_sent else folder / "dry-run"

    @property
    def pending(self) -> list[str]:
        """Hashes of sent transactions without a receipt."""
        done = {receipt["transactionHash"] for receipt in self.receipts}
        return [row["hash"] for row in self.transactions if row["hash"] is not None and row["hash"] not in done]

    @property
    def is_done(self) -> bool:
        """True if each transaction has a receipt."""
        done = {receipt["transactionHash"] for receipt in self.receipts}
        return all(row["hash"] in done for row in self.transactions)

    def created(self) -> Iterator[tuple[str, bytes]]:
        """Yield address and init code of each created contract."""
        done = {receipt["transactionHash"] for receipt in self.receipts if receipt.get("status") == "0x1"}
        for row in self.transactions:
            if row["hash"] in done and row["transactionType"] != "CALL" and row["contractAddress"] is not None:
                code = bytes.fromhex(row["transaction"]["input"][2:])
                yield row["contractAddress"], code if row["transaction"]["to"] is None else code[32:]

    @property
    def resume_options(self) -> str:
        """Options that resume this run."""
        return "--resume" if self.whole is None else "--resume --multi"

    def content(self) -> dict[str, Any]:
        """Return the content of the file in forge's format."""
        return {
            "transactions": self.transactions,
            "receipts": self.receipts,
            "libraries": self.libraries,
            "pending": self.pending,
            "returns": self.returns,
            "timestamp": self.timestamp,
            "chain": self.chain,
            "commit": None,
        }

    def write(self) -> None:
        """Write both files. Raises InvalidInput if a write fails."""
        if self.whole is not None:
            self.whole.write()
            return
        _write(self.root, self.content(), (self.latest, self._output_folder / f"{self.name}-{self.timestamp}.json"))

    @classmethod
    def read(cls, root: Path, folder: str, name: str, chain: int) -> ScriptRecord:
        """Read the latest run. Raises InvalidInput if there is none or it is malformed."""
        record = cls(root, folder, name, chain, 0)
        others = record._other_runs()
        if not exists(record.latest) and others:
            raise InvalidInput(
                f"nothing to resume on chain {chain}: {record.latest} does not exist. {others[0]} exists: "
                f"{_how_to_resume(others[0])}"
            )
        if not exists(record.latest):
            raise InvalidInput(f"nothing to resume: {record.latest} does not exist; run without --resume")
        try:
            record.take(parse_json(read_bounded(record.latest, _MAX_RECORD_BYTES, "the record")))
        except _UNREADABLE as error:
            raise _no_record(record.latest, error) from None
        record.check_chain()
        if record.is_done:
            for other in others:
                if _is_open(other, record.timestamp):
                    raise InvalidInput(f"{record.latest} is complete, {other} is a later run: {_how_to_resume(other)}")
        return record

    def _other_runs(self) -> list[Path]:
        """Return the latest runs of the same function elsewhere: over several networks, or on other chains."""
        base = self.root / self.folder
        folders = [base.parent / _MULTI / f"{base.name}-latest" / f"{self.name}.json"]
        folders += sorted(base.glob(f"*/{self.name}-latest.json"))
        return [folder for folder in folders if folder.exists() and folder != self.latest]

    def take(self, content: dict[str, Any]) -> None:
        """Load the content of a file. Raises one of _UNREADABLE if it is malformed."""
        rows, receipts = content["transactions"], content["receipts"]
        self.timestamp, self.returns = int(content["timestamp"]), dict(content["returns"])
        self.libraries = [str(library) for library in content.get("libraries") or ()]
        for row in rows:
            _check(row)
        if not all(isinstance(receipt["transactionHash"], str) for receipt in receipts):
            raise ValueError("a receipt without its transaction")
        self.transactions, self.receipts = list(rows), list(receipts)

    def check_chain(self) -> None:
        """Raise InvalidInput if a transaction belongs to another chain."""
        others = {int(row["transaction"]["chainId"], 16) for row in self.transactions} - {self.chain}
        if others:
            raise InvalidInput(
                f"{self.latest} has transactions of chain {min(others)}, but the node serves chain {self.chain}"
                + (": pass a node of that chain with --rpc-url" if self.whole is None else "")
            )


@dataclass(slots=True)
class MultiRecord:
    """A run over several networks: parts that are sent in turn, each with the URL of its node.

    `cache` is the project's cache folder.
    """

    root: Path
    cache: str
    script: str
    name: str
    timestamp: int
    is_sent: bool = True
    parts: list[ScriptRecord] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    @property
    def latest(self) -> Path:
        """File of the latest run."""
        return self._file("broadcast", "latest")

    def add(self, part: ScriptRecord, url: str) -> None:
        """Append a record as the next part."""
        part.whole = self
        self.parts.append(part)
        self.urls.append(url)

    def write(self) -> None:
        """Write all files. Raises InvalidInput if a write fails."""
        deployments = [part.content() for part in self.parts]
        urls = [
            {"transactions": [{"rpc": url}] * len(part.transactions)}
            for part, url in zip(self.parts, self.urls, strict=True)
        ]
        versions = ("latest", str(self.timestamp))
        _write(self.root, {"deployments": urls}, [self._file(self.cache, version) for version in versions])
        content = {"deployments": deployments, "timestamp": self.timestamp}
        _write(self.root, content, [self._file("broadcast", version) for version in versions])

    @classmethod
    def read(cls, root: Path, cache: str, script: str, name: str) -> MultiRecord:
        """Read the latest run. Raises InvalidInput if there is none or it is malformed."""
        record = cls(root, cache, script, name, 0)
        urls_file = record._file(cache, "latest")
        for file in (record.latest, urls_file):
            if not exists(file):
                raise InvalidInput(f"nothing to resume: {file} does not exist; run without --resume")
        file = urls_file
        try:
            deployments = parse_json(read_bounded(file, _MAX_RECORD_BYTES, "the URLs"))["deployments"]
            file = record.latest
            content = parse_json(read_bounded(file, _MAX_RECORD_BYTES, "the record"))
            record.timestamp = int(content["timestamp"])
            for part, urls in zip(content["deployments"], deployments, strict=True):
                found = ScriptRecord(root, "", name, int(part["chain"]), 0)
                found.take(part)
                named = {row["rpc"] for row in urls["transactions"]}
                url = named.pop()
                if named or not isinstance(url, str):
                    raise ValueError("a deployment has several URLs")
                record.add(found, url)
        except _UNREADABLE as error:
            raise _no_record(file, error) from None
        return record

    def _file(self, folder: str, version: str) -> Path:
        path = self.root / folder / _MULTI
        return (path if self.is_sent else path / "dry-run") / f"{self.script}-{version}" / f"{self.name}.json"


_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidInput)


def _how_to_resume(file: Path) -> str:
    if file.parent.parent.name == _MULTI:
        return "resume it with --resume --multi"
    return f"resume it with a node of chain {file.parent.name} (--rpc-url)"


def _is_open(file: Path, since: int) -> bool:
    """Return True if a record is later than a time in milliseconds and has transactions without a receipt."""
    try:
        content = parse_json(read_bounded(file, _MAX_RECORD_BYTES, "the record"))
        parts = content.get("deployments", [content])
        done = {receipt["transactionHash"] for part in parts for receipt in part["receipts"]}
        open_ = any(row["hash"] not in done for part in parts for row in part["transactions"])
        return open_ and int(content["timestamp"]) > since
    except _UNREADABLE:
        return False


def _write(root: Path, content: dict[str, Any], files: Iterable[Path]) -> None:
    text = json.dumps(content, indent=2).encode()
    for file in files:
        try:
            write_inside(root, file, text)
        except OSError as error:
            raise InvalidInput(f"the record {file} cannot be written: {error.strerror}") from None


def _no_record(file: Path, error: Exception) -> InvalidInput:
    if isinstance(error, KeyError):
        text = f"the field {error.args[0]!r} is missing"
    elif isinstance(error, json.JSONDecodeError):
        text = "it is not valid JSON"
    elif isinstance(error, TypeError | AttributeError):
        text = "a value has another type"
    else:
        text = f"{error!s:.200}"
    return InvalidInput(f"{file} is not a record of a script's run: {text}; repair it, or run without --resume")


def _check(row: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for a malformed transaction."""
    sent = row["transaction"]
    if row["transactionType"] != "CALL":
        row["contractAddress"]
    bytes.fromhex(sent["from"][2:])
    bytes.fromhex(sent["input"][2:])
    if sent["to"] is not None:
        bytes.fromhex(sent["to"][2:])
    for name in ("gas", "value", "nonce", "chainId"):
        int(sent[name], 16)
    other = next((name for name in _NOT_SENT if sent.get(name)), None)
    if other is not None:
        raise ValueError(f"a transaction has {other!r}, which this command does not send")
    if row["hash"] is not None and not isinstance(row["hash"], str):
        raise TypeError("a hash is text or null")


def row_of(planned: PlannedTransaction, gas: int, chain: int) -> dict[str, Any]:
    """Return an unsent transaction in forge's format."""
    call = planned.call
    return {
        "hash": None,
        "transactionType": planned.kind,
        "contractName": planned.contract,
        "contractAddress": None if planned.address is None else f"0x{planned.address.hex()}",
        "function": planned.function,
        "arguments": None if planned.arguments is None else list(planned.arguments),
        "transaction": {
            "from": f"0x{call.sender.hex()}",
            "to": None if call.to is None else f"0x{call.to.hex()}",
            "gas": hex(gas),
            "value": hex(call.value),
            "input": f"0x{call.data.hex()}",
            "nonce": hex(call.nonce),
            "chainId": hex(chain),
        },
        "additionalContracts": [],
        "isFixedGasLimit": False,
    }


def returns_of(plan: ScriptPlan) -> dict[str, Any]:
    """Return a script's return values in forge's format."""
    return {name: {"internal_type": kind, "value": text} for name, (kind, text, _) in plan.returned.items()}


def rows_of(planned: Sequence[PlannedTransaction], gas: Sequence[int], chain: int) -> list[dict[str, Any]]:
    """Return transactions with their gas limits, in forge's format."""
    return [row_of(one, limit, chain) for one, limit in zip(planned, gas, strict=True)]
