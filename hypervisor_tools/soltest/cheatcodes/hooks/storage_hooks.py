"""Storage hooks: callbacks of a contract after reads and writes of another one, and slots by name.

A callback is called by `VM_ADDRESS` with the remaining gas, which is restored afterwards, and may write even in a
static call. Recordings, mocks and expectations do not see it, and it triggers no hooks. If it reverts, the frame that
accessed the slot fails. Source: the comments of forge 1.8's interface `Vm`. The slots of a variable come from the
compiler's storage layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor_tools.soltest.cheatcodes.context import Cheats, Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS, State, StorageHook, StorageHooks
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.values import encode
from runtimes.evm.revm import Access, AccessKind, ObservedCall
from store.keccak import keccak

_PARTIAL: Final = "not with `--evm py-evm`; what a callback accesses stays warm"
_REQUIRED: Final = "a storage hook requires the engine fast: run without --evm py-evm and without a debugger"
_HIDDEN: Final = ("recording", "reads", "writes", "mappings")
"""Fields of the state that a callback neither sees nor changes."""


@cheatcode("registerSloadHook(address,bytes4)", partial=_PARTIAL)
def _register_load(context: Context, target: EthAddress, callback: bytes) -> None:
    _hooks(context).loads[target] = StorageHook(context.caller, callback)


@cheatcode("registerSstoreHook(address,bytes4)", partial=_PARTIAL)
def _register_store(context: Context, target: EthAddress, callback: bytes) -> None:
    hooks = _hooks(context)
    if target in hooks.mappings:
        raise CheatcodeFailure("cannot register raw SSTORE hook: mapping SSTORE hooks already exist for target")
    hooks.stores[target] = StorageHook(context.caller, callback)


@cheatcode("registerMappingSstoreHook(address,bytes32,bytes4)", partial=_PARTIAL)
def _register_mapping(context: Context, target: EthAddress, root: bytes, callback: bytes) -> None:
    hooks = _hooks(context)
    if target in hooks.stores:
        raise CheatcodeFailure("cannot register mapping SSTORE hook: raw SSTORE hook already exists for target")
    hooks.mappings.setdefault(target, {})[int.from_bytes(root, "big")] = StorageHook(context.caller, callback)
    hooks.hashes.pop(target, None)


def _hooks(context: Context) -> StorageHooks:
    context.require_ethereum("storage hooks")
    if context.run is None or not context.run.runs_in_guest:
        raise CheatcodeFailure(_REQUIRED)
    if context.state.hooks is None:
        context.state.hooks = StorageHooks()
    return context.state.hooks


def call_hook(cheats: Cheats, run: ObservedCall, access: Access) -> bytes | None:
    """Call the hook for an access to a slot; return the data with which the frame reverts if the callback fails."""
    hooks = cheats.state.hooks
    if hooks is None:
        return None
    account, slot, before, word = access[1:5]
    if access.kind == AccessKind.READ:
        return _call(cheats, hooks, run, hooks.loads.get(account), _encode_words(account, slot, before))
    if account in hooks.stores:
        return _call(cheats, hooks, run, hooks.stores[account], _encode_words(account, slot, before, word))
    root, keys = _resolve(hooks, account, slot)
    if not keys:
        return None
    kinds = ["address", "bytes32", "bytes32", "bytes32[]", "bytes32", "bytes32"]
    data = encode(kinds, [account, _word(slot), _word(root), keys, _word(before), _word(word)])
    return _call(cheats, hooks, run, hooks.mappings.get(account, {}).get(root), data)


def _resolve(hooks: StorageHooks, account: EthAddress, slot: int) -> tuple[int, Sequence[bytes]]:
    """Return the root slot of the mapping to which a slot belongs, and the keys from there; none if it is unknown."""
    chain, keys = hooks.hashes.get(account, {}), []
    while slot in chain:
        key, slot = chain[slot]
        keys.append(key)
    return slot, keys[::-1]


def _call(
    cheats: Cheats, hooks: StorageHooks, run: ObservedCall, hook: StorageHook | None, data: bytes
) -> bytes | None:
    if hook is None:
        return None
    hooks.is_active = True
    try:
        with _hidden(cheats.state), cheats.interception.hidden():
            outcome = run.call(VM_ADDRESS, hook.contract, hook.callback + data)
            list(run.accesses())  # the callback's
    finally:
        hooks.is_active = False
    return None if outcome.success else outcome.output


@contextmanager
def _hidden(state: State) -> Iterator[None]:
    """Replace the hidden fields by those of a new state inside the context."""
    before, empty = {name: getattr(state, name) for name in _HIDDEN}, State()
    for name in _HIDDEN:
        setattr(state, name, getattr(empty, name))
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(state, name, value)


def _encode_words(account: EthAddress, *words: int) -> bytes:
    return account.rjust(32, b"\0") + b"".join(map(_word, words))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


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
