"""Typed Python wrappers of contracts, generated from compiler artifacts by `hypervisor bindings`.

A generated module has the contract's class with a method per function, dataclasses for structs, events and errors,
and the ABI and bytecode, so it needs no other file. The base classes are in `localnet.contracts.typed_contract`.

    (vault,) = modules(["out/Vault.sol/Vault.json"])
    Path(vault.file).write_text(vault.text)            # vault.py

Read `declared` and `source`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypervisor.errors import InvalidInput
from hypervisor.installation import MAX_ARTIFACT_BYTES
from hypervisor_tools.bindings.declared import DeclaredContract, Notes, notes, parse_contract, snake
from hypervisor_tools.bindings.source import source
from localnet.contracts.artifacts import ArtifactFolders
from store.untrusted import parse_json


@dataclass(frozen=True, slots=True)
class Module:
    """A generated module: file name, source text, and contract."""

    contract: str
    file: str
    text: str


def modules(artifacts: Sequence[str], folders: Sequence[Path] | None = None) -> list[Module]:
    """Return the modules for contracts, named by artifact file (`.json`) or by contract name in `folders`.

    Raises InvalidInput.
    """
    found: dict[str, Module] = {}
    for artifact in artifacts:
        made = module(*_content(artifact, folders))
        if made.file in found:
            raise InvalidInput(f"{found[made.file].contract} and {made.contract} would both be written to {made.file}")
        found[made.file] = made
    return list(found.values())


def module(content: Any, name: str) -> Module:
    """Return the module for a compiler's JSON output or a plain ABI. Raises InvalidInput."""
    contract, natspec = parse_contract(content, name), notes(content)
    return Module(contract.name, f"{snake(contract.name)}.py", source(contract, natspec))


def _content(artifact: str, folders: Sequence[Path] | None) -> tuple[Any, str]:
    if not artifact.endswith(".json"):
        found = ArtifactFolders(folders).named(artifact)
        return found.content, found.name
    path = Path(artifact)
    try:
        if path.stat().st_size > MAX_ARTIFACT_BYTES:
            raise InvalidInput(f"{path} is larger than {MAX_ARTIFACT_BYTES >> 20} MiB")
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"the artifact {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidInput(f"{path} is not valid JSON: {error}") from None
    named = content.get("contractName", content.get("contract")) if isinstance(content, Mapping) else None
    return content, named if isinstance(named, str) else path.name.split(".")[0]


__all__ = ["DeclaredContract", "Module", "Notes", "module", "modules"]
