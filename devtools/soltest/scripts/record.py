"""What a script has sent, in the files that forge keeps: `broadcast/<script>/<chain>/run-latest.json` and one by time.

Without transactions sent it is `dry-run/` below that. Of another function than `run` the file bears its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devtools.soltest.project_files import write_inside
from devtools.soltest.scripts.plan import PlannedTransaction, ScriptPlan
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded
from store.json_text import parse_json

_LARGEST: Final = 256 << 20
"""Bytes of a record."""
_NOT_SENT: Final = ("authorizationList", "blobVersionedHashes", "blobs", "sidecar")
"""What forge's records have of transactions of types 3 and 4."""


@dataclass(slots=True)
class ScriptRecord:
    """A run of a script on a chain. Transactions and receipts are in forge's form; times in milliseconds."""

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

    @property
    def latest(self) -> Path:
        """The file of the last run."""
        return self._place / f"{self.name}-latest.json"

    @property
    def _place(self) -> Path:
        place = self.root / self.folder / str(self.chain)
        return place if self.is_sent else place / "dry-run"

    @property
    def pending(self) -> list[str]:
        """The hashes of what was sent and has no receipt."""
        done = {receipt["transactionHash"] for receipt in self.receipts}
        return [row["hash"] for row in self.transactions if row["hash"] is not None and row["hash"] not in done]

    @property
    def is_done(self) -> bool:
        """Whether each transaction has its receipt."""
        done = {receipt["transactionHash"] for receipt in self.receipts}
        return all(row["hash"] in done for row in self.transactions)

    def write(self) -> None:
        """Write both files. Raises InvalidInput where that cannot be."""
        content = {
            "transactions": self.transactions,
            "receipts": self.receipts,
            "libraries": self.libraries,
            "pending": self.pending,
            "returns": self.returns,
            "timestamp": self.timestamp,
            "chain": self.chain,
            "commit": None,
        }
        text = json.dumps(content, indent=2).encode()
        try:
            for file in (self.latest, self._place / f"{self.name}-{self.timestamp}.json"):
                write_inside(self.root, file, text)
        except OSError as error:
            raise InvalidInput(f"the record {self.latest} cannot be written: {error.strerror}") from None

    @classmethod
    def read(cls, root: Path, folder: str, name: str, chain: int) -> ScriptRecord:
        """The last run. Raises InvalidInput where there is none, or something else."""
        record = cls(root, folder, name, chain, 0)
        if not record.latest.exists():
            raise InvalidInput(f"there is nothing to resume: {record.latest} is not there; leave out --resume to begin")
        try:
            content = parse_json(read_bounded(record.latest, _LARGEST, "the record"))
            rows, receipts = content["transactions"], content["receipts"]
            record.timestamp, record.returns = int(content["timestamp"]), dict(content["returns"])
            record.libraries = [str(library) for library in content.get("libraries") or ()]
            for row in rows:
                _check(row)
            if not all(isinstance(receipt["transactionHash"], str) for receipt in receipts):
                raise ValueError("a receipt without its transaction")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
            lacking = isinstance(error, KeyError)
            words = f"the field {error.args[0]!r} is missing" if lacking else f"{error!r:.200}"
            raise InvalidInput(f"{record.latest} is not a record of a script's run: {words}") from None
        others = {int(row["transaction"]["chainId"], 16) for row in rows} - {chain}
        if others:
            raise InvalidInput(
                f"{record.latest} has transactions of chain {min(others)}, the node is of chain {chain}: name a node "
                "of that chain by --rpc-url"
            )
        record.transactions, record.receipts = list(rows), list(receipts)
        return record


def _check(row: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for what is no transaction."""
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
    """A transaction in forge's form, not sent yet."""
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
    """Returned values in forge's form."""
    return {name: {"internal_type": kind, "value": text} for name, (kind, text) in plan.returned.items()}


def rows_of(plan: ScriptPlan, gas: Sequence[int], chain: int) -> list[dict[str, Any]]:
    """All transactions of a plan with their gas limits."""
    return [row_of(planned, limit, chain) for planned, limit in zip(plan.transactions, gas, strict=True)]
