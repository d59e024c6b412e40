"""The cheatcode that returns a variable's slots, from the compiler's storage layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.limits import check_size
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from store.keccak import keccak

_WORD: Final = 32


@cheatcode("getStorageSlots(address,string)", returns="bytes32[]")
def _storage_slots(context: Context, target: EthAddress, name: str) -> Sequence[bytes]:
    code = context.ledger.code(target)
    found = context.settings.contracts(code, False) if code else None
    layout = None if found is None else context.settings.layouts.get((found.file, found.name))
    if layout is None:
        raise CheatcodeFailure(
            f"Storage layout not available for contract at {checksummed(target)}. Try compiling contracts with "
            "`--extra-output storageLayout`"
        )
    variable = next((row for row in layout.get("storage") or () if row["label"].lower() == name.lower()), None)
    if variable is None:
        raise CheatcodeFailure(f"variable '{name}' not found in storage layout")
    return [slot.to_bytes(_WORD, "big") for slot in _slots(context, target, layout, variable)]


def _slots(context: Context, target: EthAddress, layout: Mapping[str, Any], variable: Mapping[str, Any]) -> list[int]:
    first, kind = int(variable["slot"]), layout["types"][variable["type"]]
    if kind["encoding"] in ("mapping", "dynamic_array"):
        raise CheatcodeFailure("cannot get storage slots for variables with mapping or dynamic array types")
    if kind["encoding"] == "inplace":
        return list(_run(first, int(kind["numberOfBytes"]), first + 1))
    word = context.ledger.load(target, first)
    if not word & 1:  # strings shorter than 32 bytes share the slot of their length
        return [first]
    start = int.from_bytes(keccak(first.to_bytes(_WORD, "big")), "big")
    return [first, *_run(start, word >> 1, start)]


def _run(first: int, size: int, least_end: int) -> range:
    """Return the slots of `size` bytes from slot `first` on. Raises CheatcodeFailure above the size limit."""
    count = -(-size // _WORD)
    check_size(count * _WORD)
    return range(first, max(first + count, least_end))
