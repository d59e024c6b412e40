"""Decoding of custom errors that the project's contracts declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fvm_hypervisor.soltest.compile.artifact import Artifacts, ContractArtifact
from fvm_hypervisor.soltest.execution.discovery import signature
from fvm_hypervisor.soltest.execution.values import types
from fvm_hypervisor.soltest.value_text import arguments_text
from hypervisor.errors import InvalidInput
from store.keccak import keccak


class KnownErrors:
    """Finds errors by selector, first in the current suite, then in every contract of the project."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._near: dict[bytes, Mapping[str, Any]] = {}
        self._project_errors: dict[bytes, Mapping[str, Any]] | None = None

    def prefer(self, artifact: ContractArtifact) -> None:
        """Set the suite whose errors are tried first."""
        self._near = _errors(artifact)

    def __call__(self, data: bytes) -> str | None:
        """Return a custom error as `Name(arguments)`, or None if no contract declares it."""
        entry = self._near.get(data[:4]) or self._all().get(data[:4])
        if entry is None:
            return None
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            values = decode(types(entry["inputs"]), data[4:], strict=False)
        except (DecodingError, OverflowError, ValueError):
            return None
        return f"{entry['name']}({arguments_text(entry['inputs'], values)})"

    def _all(self) -> dict[bytes, Mapping[str, Any]]:
        if self._project_errors is None:
            self._project_errors = {}
            for location in self._artifacts.locations:
                try:
                    self._project_errors.update(_errors(self._artifacts.load(location)))
                except InvalidInput:
                    continue  # discovery reports corrupt artifacts
        return self._project_errors


def _errors(artifact: ContractArtifact) -> dict[bytes, Mapping[str, Any]]:
    found = (entry for entry in artifact.abi if entry.get("type") == "error")
    return {bytes(keccak(signature(entry).encode()))[:4]: entry for entry in found}
