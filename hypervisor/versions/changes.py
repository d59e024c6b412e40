"""The FIPs of each network version and the prices and rules that each of them changes, to name that of a difference.

A change has the name of a price (`block_open_flat`, `invoke.per_unit`), of a rule (`MachineRules`, `NetworkVersion`),
of a feature of the EVM (`MCOPY`), or `actors` for the code of the built-in actors. A draft is its own source.
Sources: the FIPs, and the release notes of Lotus for each upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Final, NamedTuple

from hypervisor.gas import price_values, show_price
from hypervisor.versions.network_versions import NetworkVersion

VERSION_FIPS: Final[Mapping[int, Mapping[int, str]]] = MappingProxyType({
    21: {
        71: "invoke return_per_link link_tracked link_checked scan_per_field scan_per_cid tracks_links",
        72: "event_validate_v3 event_accept_v3 events_in_buffers", 73: "self_destruct_burns",
        75: "randomness_entropy tipset_cid_recent tipset_cid_older host_draws_randomness tipset_lookback",
    },
    24: {94: "MCOPY", 95: "BEACON_RANDOMNESS"},
    25: {97: "TRANSIENT"},
    27: {77: "actors", 101: "actors", 103: "actors", 105: "BLS12_381", 106: "actors", 109: "actors"},
    28: {112: "actors", 113: "P256", 114: "CLZ", 115: "base_fee"},
    29: {118: "actors"},
})  # fmt: skip
"""Names of changes by network version and FIP; a price stands for its parts."""
_MEMORY: Final = "memory_copy_per_byte memory_allocate_per_byte"
_SCAN: Final = f"scan_per_field scan_per_cid memory_retain_per_byte {_MEMORY}"
_CHARGE_PRICES: Final[Mapping[str, str]] = MappingProxyType({
    "OnChainMessage": "message_compute message_storage_bytes storage_per_byte actor_update",
    "OnChainReturnValue": "storage_per_byte", "OnReturnValue": "return_per_link",
    "OnMethodInvocation": "invoke", "OnValueTransfer": "transfer", "OnSyscall": "syscall memory_copy_per_byte",
    "OnActorLookup": "actor_lookup address_lookup", "OnActorUpdate": "actor_update address_assignment",
    "OnCreateActor": "actor_create address_assignment", "OnActorGetRoot": "link_tracked",
    "OnActorSetRoot": "link_checked", "OnBlockOpenBase": "block_open_flat link_checked",
    "OnBlockOpen": f"link_tracked {_SCAN}", "OnBlockCreate": f"link_checked {_SCAN}",
    "OnBlockRead": "memory_copy_per_byte", "OnScanIpldLinks": "scan_per_field scan_per_cid",
    "OnBlockLink": f"block_persist_compute block_persist_storage block_persist_hash_per_byte link_tracked {_MEMORY}",
    "OnActorEvent": f"event event_utf8 block_persist_hash_per_byte {_MEMORY}",
    "OnActorEventValidate": "event_validate_v3", "OnActorEventAccept": "event_accept_v3",
    "OnGetRandomness": "lookback randomness_entropy", "OnTipsetCid": "lookback tipset_cid_recent tipset_cid_older",
    "OnHashing": "hashes", "OnVerifySignature": "verify_secp256k1 verify_bls",
    "OnRecoverSecpPublicKey": "recover_secp256k1",
    "OnVerifyBlsAggregateSignature": "bls_aggregate_pairing bls_aggregate_per_byte",
    "OnComputeUnsealedSectorCid": "unsealed_sector_cid", "OnVerifyPost": "verify_post",
    "OnVerifyAggregateSeals": "verify_aggregate", "OnVerifyReplicaUpdate": "verify_replica_update",
    "OnVerifySeals": "verify_seal", "OnVerifyConsensusFault": "verify_consensus_fault",
    "wasm_exec": "wasm_instruction wasm_memory_per_byte actors", "wasm_memory_init": "wasm_memory_per_byte actors",
    "wasm_table_init": "wasm_memory_per_byte actors", "OnEvmNode": "wasm_instruction actors",
    "OnEvmMemory": "wasm_memory_per_byte actors", "OnEvmPrecompile": "wasm_instruction BLS12_381 P256 actors",
    "OnEvmFrame": "wasm_memory_per_byte wasm_instruction syscall actors",
    "OnEvmCall": "wasm_instruction actors",
    "OnEvmCode": "wasm_instruction MCOPY TRANSIENT CLZ actors",
})  # fmt: skip
"""Prices and rules that a charge depends on, by the charge's name."""
_RULES: Final = ("base_fee", "receipts")


class RuleChange(NamedTuple):
    """A price or rule that differs between two sets of rules, its values, and the proposals that change it."""

    name: str
    before: object
    after: object
    sources: tuple[str, ...]
    """Such as `EIP-8038`, `FIP-0094`, or the name of a draft."""

    def text(self) -> str:
        """Return `cold_slot 2,100 -> 3,000 (EIP-8038)`."""
        source = f" ({', '.join(self.sources)})" if self.sources else ""
        return f"{self.name} {_value(self.before)} -> {_value(self.after)}{source}"


def _value(value: object) -> str:
    return f"{value:,}" if type(value) is int else "none" if value is None else str(value)


def version_changes(before: NetworkVersion, after: NetworkVersion) -> Mapping[str, RuleChange]:
    """Return the changes from one network version to another, by name; prices in gas."""
    first, second = _values(before), _values(after)
    found = {}
    for name in {**first, **second}:
        old, new = first.get(name), second.get(name)
        if old != new:
            found[name] = RuleChange(name, old, new, _sources(before, after, name))
    return MappingProxyType(found)


def _values(row: NetworkVersion) -> dict[str, object]:
    values: dict[str, object] = {name: show_price(name, value) for name, value in price_values(row.prices).items()}
    values |= {each.name: getattr(row.rules, each.name) for each in fields(row.rules)}
    values |= dict.fromkeys(row.evm, True)
    return values | {name: getattr(row, name).name.lower() for name in _RULES} | {"actors": f"v{row.actors}"}


def _sources(before: NetworkVersion, after: NetworkVersion, name: str) -> tuple[str, ...]:
    """Return the FIPs of the versions between two that change a name, and the drafts and overlays that do."""
    low, high = sorted((before.number, after.number))
    found = [
        f"FIP-{number:04}"
        for version, fips in VERSION_FIPS.items()
        if low < version <= high
        for number, names in fips.items()
        if _is_of(name, names)
    ]
    for row in (before, after):
        overlay = row.overlay
        if overlay is not None and name in {**dict(overlay.prices), **dict(overlay.rules), **dict.fromkeys(
            (*overlay.added, *overlay.removed)
        )}:  # fmt: skip
            found.append(overlay.name)
    return tuple(found)


def _is_of(name: str, names: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names.split())


def changes_of_charge(changes: Mapping[str, RuleChange], charge: str) -> tuple[RuleChange, ...]:
    """Return the changes that a charge depends on; all of them for a charge that the table lacks."""
    names = _CHARGE_PRICES.get(charge)
    return tuple(change for name, change in changes.items() if names is None or _is_of(name, names))
