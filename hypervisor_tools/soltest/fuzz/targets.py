"""Targets of invariant tests: the functions that sequences may call.

Rules: forge's. By default (without `targetContracts` and the like) every state-changing function of every contract that
`setUp` created is called, by any sender; `targetSelectors` narrows the functions of its contract only. Of the test
contract itself, reserved functions are only called if their selectors are targeted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode as decode_arguments
from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.execution.discovery import is_reserved, signature
from hypervisor_tools.soltest.execution.results import BlockDelay, CounterExample
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.execution.values import types
from hypervisor_tools.soltest.value_text import arguments_text
from localnet.contracts.debug_info import CodePattern, without_metadata
from runtimes.evm.revm import CampaignStep

_READING: Final = ("view", "pure")
_ADDRESSES, _TEXTS = "address[]", "string[]"
_SELECTORS, _INTERFACES, _ARTIFACT_SELECTORS = "(address,bytes4[])[]", "(address,string[])[]", "(string,bytes4[])[]"
_NONE: Final = (32).to_bytes(32, "big") + bytes(32)
"""An encoded array without items."""


class FuzzTarget(NamedTuple):
    """A function that sequences may call."""

    address: EthAddress
    contract: str
    entry: Mapping[str, Any]
    selector: bytes
    types: tuple[str, ...]

    def example(self, step: CampaignStep) -> CounterExample:
        """Return a call in the form of results."""
        inputs, values = self.entry["inputs"], decode_arguments(self.types, step.data[4:])
        return CounterExample(
            step.data,
            arguments_text(inputs, values),
            checksummed(step.sender),
            self.contract,
            checksummed(self.address),
            signature(self.entry),
            arguments_text(inputs, values, raw=True),
            delay=BlockDelay(step.seconds, step.blocks),
        )


class NoTargets(Exception):
    """Raised with forge's reason if sequences have no function to call, or a filter names an unknown one."""


@dataclass(slots=True)
class _Contract:
    """A target with its functions; if some are `chosen`, only these are called."""

    name: str
    abi: Sequence[Mapping[str, Any]]
    chosen: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, artifact: ContractArtifact) -> _Contract:
        return cls(f"{artifact.file}:{artifact.name}", artifact.abi)

    def functions(self) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield the functions to call by selector."""
        known = _functions(self.abi)
        if self.chosen:
            yield from ((short, known[short]) for short in dict.fromkeys(self.chosen))
        else:
            yield from ((short, entry) for short, entry in _changing(self.abi) if short not in self.refused)

    def check(self, selectors: Iterable[bytes], name: str = "") -> list[bytes]:
        """Return the selectors. Raises NoTargets, with the name in the filter, if the contract lacks one."""
        found, known = list(selectors), _functions(self.abi)
        for short in found:
            if short not in known:
                raise NoTargets(f"{name or self.name} does not have the selector 0x{short.hex()}")
        return found


def find_targets(stage: SuiteStage) -> list[FuzzTarget]:
    """Return the functions that sequences may call, filtered by the test contract. Raises NoTargets."""
    filters = TargetFilters(stage)
    targeted, refused = _artifact_filters(stage, filters)
    chosen, excluded = (set(filters.addresses(name)) for name in ("targetContracts", "excludeContracts"))
    codes = dict(stage.executor.contracts(stage.first_actor))

    @cache
    def contract_of(address: EthAddress) -> _Contract | None:
        artifact = _running(stage, codes.get(address, b""))
        return None if artifact is None else _Contract.of(artifact)

    def is_target(address: EthAddress) -> bool:
        if address == stage.address or address in stage.libraries.values():
            return address in chosen
        if (chosen and address not in chosen) or address in excluded:
            return False
        contract = contract_of(address)
        if contract is None or contract.name in refused or not any(_changing(contract.abi)):
            return False
        return not targeted or contract.name in targeted

    contracts = {address: contract for address in codes if is_target(address) and (contract := contract_of(address))}
    contracts |= _interfaces(stage, filters)

    def contract_at(address: EthAddress, name: str) -> _Contract:
        contract = contracts.get(address) or contract_of(address)
        if contract is None:
            raise NoTargets(f"[{name}] address does not have an associated contract: {checksummed(address)}")
        return contracts.setdefault(address, contract)

    for address in codes if any(targeted.values()) else ():
        contract = contract_of(address)
        if contract is not None and targeted.get(contract.name):
            contract_at(address, "targetSelectors").chosen += targeted[contract.name]
    for address, selectors in filters.selectors("targetSelectors"):
        if selectors:
            contract = contract_at(address, "targetSelectors")
            contract.chosen += contract.check(selectors)
    for address, selectors in filters.selectors("excludeSelectors"):
        if selectors:
            contract = contract_at(address, "excludeSelectors")
            contract.refused += contract.check(selectors)
    test = contracts.get(stage.address)
    if test is not None and not test.chosen:
        test.refused += [short for short, entry in _changing(test.abi) if is_reserved(entry)]
    targets = [
        FuzzTarget(address, contract.name, entry, short, tuple(types(entry["inputs"])))
        for address, contract in contracts.items()
        for short, entry in contract.functions()
    ]
    if not targets:
        raise NoTargets("No contracts to fuzz.")
    return targets


def _artifact_filters(stage: SuiteStage, filters: TargetFilters) -> tuple[dict[str, list[bytes]], set[str]]:
    """Return the selectors of targeted artifacts (none for all), and the excluded artifacts, as `file:name`."""
    targeted: dict[str, list[bytes]] = {}
    for wanted, selectors in filters.read("targetArtifactSelectors", _ARTIFACT_SELECTORS):
        artifact = _artifact(stage, wanted)
        targeted.setdefault(artifact.name, []).extend(artifact.check(selectors, wanted))
    refused = {_artifact(stage, wanted).name for wanted in filters.read("excludeArtifacts", _TEXTS)}
    for wanted in filters.read("targetArtifacts", _TEXTS):
        artifact = _artifact(stage, wanted)
        if artifact.name not in refused and any(_changing(artifact.abi)):
            targeted.setdefault(artifact.name, [])
    return targeted, refused


def _artifact(stage: SuiteStage, wanted: str) -> _Contract:
    """Return the contract for `Name` or `path/File.sol:Name`. Raises NoTargets."""
    found = list(_named(stage, wanted))
    if len(found) > 1:
        raise NoTargets(f"{wanted} has more than one implementation.")
    if not found:
        raise NoTargets(
            f"{wanted} not found in the project. Allowed format: `contract_name` or `contract_path:contract_name`."
        )
    return _Contract.of(found[0])


def _named(stage: SuiteStage, wanted: str) -> Iterator[ContractArtifact]:
    for location in stage.artifacts.locations:
        if wanted in (location.name, f"{location.file}:{location.name}"):
            yield stage.artifacts.load(location)


def _interfaces(stage: SuiteStage, filters: TargetFilters) -> dict[EthAddress, _Contract]:
    """Return the contracts of `targetInterfaces`: addresses with the functions of the named artifacts."""
    found: dict[EthAddress, _Contract] = {}
    for text, names in filters.read("targetInterfaces", _INTERFACES):
        address = EthAddress(bytes.fromhex(text[2:]))
        for name in names:
            artifact = next(_named(stage, name), None)
            if artifact is not None:
                contract = found.setdefault(address, _Contract(name, ()))
                contract.abi = (*contract.abi, *artifact.abi)
    return found


def _functions(abi: Iterable[Mapping[str, Any]]) -> dict[bytes, Mapping[str, Any]]:
    return {selector(signature(entry)): entry for entry in abi if entry.get("type") == "function"}


def _changing(abi: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
    """Yield the functions that may change the state, by selector."""
    for short, entry in _functions(abi).items():
        if entry.get("stateMutability") not in _READING:
            yield short, entry


def _running(stage: SuiteStage, code: bytes) -> ContractArtifact | None:
    """Return the contract with this runtime code: of several, the one with this metadata."""
    bare, found = without_metadata(code), []
    metadata = code[len(bare) :].hex()
    for artifact in stage.artifacts.all():
        if artifact.runtime.object:
            pattern = CodePattern.of(artifact.runtime.object)
            if len(pattern.code) == len(bare) and pattern.begins(bare):
                found.append(artifact)
    own = (artifact for artifact in found if artifact.runtime.object.lower().endswith(metadata))
    return next(own, found[0] if found else None)


class TargetFilters:
    """The test contract's target filters, such as `targetContracts`."""

    def __init__(self, stage: SuiteStage) -> None:
        self._stage = stage
        self._names = {entry["name"] for entry in stage.artifact.abi if entry.get("type") == "function"}

    def addresses(self, name: str) -> list[EthAddress]:
        """Return a filter's list of addresses."""
        data = self._output(name)
        try:
            return list(decode_arguments([_ADDRESSES], data)[0]) if data else []
        except CheatcodeFailure:
            return []

    def selectors(self, name: str) -> list[tuple[EthAddress, tuple[bytes, ...]]]:
        """Return a filter's selectors by address."""
        found: dict[EthAddress, tuple[bytes, ...]] = {}
        for address, names in self.read(name, _SELECTORS):
            key = EthAddress(bytes.fromhex(address[2:]))
            found[key] = (*found.get(key, ()), *names)
        return list(found.items())

    def read(self, name: str, kind: str) -> Sequence[Any]:
        """Return a filter's values; empty if the contract lacks it or it fails."""
        data = self._output(name)
        if data in (b"", _NONE):  # of forge-std, without the time to load eth_abi
            return ()
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            values: Sequence[Any] = decode([kind], data)[0]
        except DecodingError:
            return ()
        return values

    def _output(self, name: str) -> bytes:
        """Return what a filter returns; empty if the contract lacks it or it fails."""
        outcome = self._stage.call(selector(f"{name}()")) if name in self._names else None
        return outcome.output if outcome is not None and outcome.success else b""
