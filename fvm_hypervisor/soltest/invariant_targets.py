"""Targets of an invariant test: contracts and functions, selected by the test contract.

Rules: forge's. By default (without `targetContracts` and the like) every state-changing function of every contract that
`setUp` created is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.artifact import ContractArtifact
from fvm_hypervisor.soltest.discovery import signature
from fvm_hypervisor.soltest.stage import SuiteStage, selector
from fvm_hypervisor.soltest.values import types
from localnet.contracts.code_patterns import CodePattern, without_metadata

_SELECTORS = "(address,bytes4[])[]"
_READING = ("view", "pure")


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """A function that sequences may call."""

    address: EthAddress
    contract: str
    entry: Mapping[str, Any]
    selector: bytes
    types: tuple[str, ...]


class NoTargets(Exception):
    """Raised if sequences have no function to call."""


def find_targets(stage: SuiteStage) -> list[FuzzTarget]:
    """Return the functions that sequences may call, filtered by the test contract. Raises NoTargets."""
    filters = TargetFilters(stage)
    excluded = {*filters.addresses("excludeContracts")}
    chosen = filters.addresses("targetContracts")
    selectors = dict(filters.selectors("targetSelectors"))
    refused = dict(filters.selectors("excludeSelectors"))
    known = dict(stage.executor.contracts(stage.first_actor))
    wanted = chosen or [] if chosen or selectors else [
        address for address in known if address != stage.address and address not in stage.libraries.values()
    ]  # fmt: skip
    targets: list[FuzzTarget] = []
    for address in dict.fromkeys([*wanted, *selectors]):
        artifact = None if address in excluded else _running(stage, known.get(address, b""))
        if artifact is None:
            continue
        for entry in _callable(artifact):
            short = selector(signature(entry))
            if short in refused.get(address, ()) or (address in selectors and short not in selectors[address]):
                continue
            targets.append(
                FuzzTarget(address, f"{artifact.file}:{artifact.name}", entry, short, tuple(types(entry["inputs"])))
            )
    if not targets:
        raise NoTargets
    return targets


def _callable(artifact: ContractArtifact) -> list[Mapping[str, Any]]:
    return [
        entry
        for entry in artifact.abi
        if entry.get("type") == "function" and entry.get("stateMutability") not in _READING
    ]


def _running(stage: SuiteStage, code: bytes) -> ContractArtifact | None:
    """Return the contract with this runtime code."""
    bare = without_metadata(code)
    for artifact in stage.artifacts.all():
        if artifact.runtime.object:
            pattern = CodePattern.of(artifact.runtime.object)
            if len(pattern.code) == len(bare) and pattern.begins(bare):
                return artifact
    return None


class TargetFilters:
    """The test contract's target filters, such as `targetContracts`."""

    def __init__(self, stage: SuiteStage) -> None:
        self._stage = stage
        self._names = {entry["name"] for entry in stage.artifact.abi if entry.get("type") == "function"}

    def addresses(self, name: str) -> list[EthAddress]:
        """Return a filter's list of addresses."""
        return [EthAddress(bytes.fromhex(found[2:])) for found in self._read_filter(name, "address[]")]

    def selectors(self, name: str) -> list[tuple[EthAddress, tuple[bytes, ...]]]:
        """Return a filter's selectors by address."""
        found: dict[EthAddress, tuple[bytes, ...]] = {}
        for address, names in self._read_filter(name, _SELECTORS):
            key = EthAddress(bytes.fromhex(address[2:]))
            found[key] = (*found.get(key, ()), *names)
        return list(found.items())

    def _read_filter(self, name: str, kind: str) -> Sequence[Any]:
        if name not in self._names:
            return ()
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        outcome = self._stage.call(selector(f"{name}()"))
        try:
            values: Sequence[Any] = decode([kind], outcome.output)[0] if outcome.success else ()
        except DecodingError:
            return ()
        return values
