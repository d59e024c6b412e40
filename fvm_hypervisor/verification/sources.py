"""Conversion of stored contracts for the explorer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.verification.store import VerifiedContracts

if TYPE_CHECKING:
    from fvm_hypervisor.explorer.site import VerifiedSource


def source_of(stored: VerifiedContracts, address: EthAddress) -> VerifiedSource | None:
    """Return the verified sources of the contract at an address; None without any, or if the entry is malformed."""
    from fvm_hypervisor.explorer.site import VerifiedSource

    entry = stored.get(f"0x{address.hex()}")
    if entry is None:
        return None
    try:
        summary, fields = entry["summary"], entry["fields"]
        compilation = fields["compilation"]
        file, _, name = str(compilation["fullyQualifiedName"]).rpartition(":")
        return VerifiedSource(
            name=name,
            file=file,
            compiler=f"solc {compilation['compilerVersion']}",
            settings=json.dumps(compilation["compilerSettings"], indent=2),
            runtime_match=str(summary["runtimeMatch"] or "differs"),
            creation_match=str(summary["creationMatch"] or "unknown or differs"),
            verified_at=str(summary["verifiedAt"]),
            code_hash=str(entry["codeHash"]),
            sources={path: str(source["content"]) for path, source in fields["sources"].items()},
            output={"storageLayout": fields["storageLayout"]},
        )
    except (KeyError, TypeError, AttributeError):
        return None
