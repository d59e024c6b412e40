"""Output of geth's prestateTracer: touched accounts before a transaction and, in diff mode, after it.

Shapes: go-ethereum eth/tracers/native/prestate.go. Native actors are listed like other accounts, under their masked
ID addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.addresses import EthAddress, to_filecoin
from hypervisor.machine import Hypervisor
from localnet.state.contract_state import code_of, nonce_of_actor, storage_of

State = dict[str, dict[str, Any]]
_NO_ACCOUNT: Final[Mapping[str, Any]] = {"balance": "0x0"}
_ZERO: Final = "0x" + "00" * 32


def state_of(machine: Hypervisor, touched: Mapping[EthAddress, set[int]]) -> State:
    """Return the touched accounts and slots in their current state: balance, and nonce, code and storage if any."""
    return {f"0x{address.hex()}": _account(machine, address, slots) for address, slots in touched.items()}


def changes(before: State, after: State) -> dict[str, State]:
    """Return the difference: `pre` has the changed accounts before, `post` the changed fields after.

    A new account is in `post` only. Changed slots are included, each side only if its value is not 0.
    """
    pre: State = {}
    post: State = {}
    for address, old in before.items():
        new = after[address]
        if old == new:
            continue
        slots = [slot for slot, word in old.get("storage", {}).items() if new.get("storage", {}).get(slot) != word]
        if old != _NO_ACCOUNT:
            fields = {name: value for name, value in old.items() if name != "storage"}
            pre[address] = fields | _storage(old, slots)
        changed = {name: value for name, value in new.items() if name != "storage" and old.get(name) != value}
        post[address] = changed | _storage(new, slots)
    return {"pre": pre, "post": post}


def _account(machine: Hypervisor, address: EthAddress, slots: set[int]) -> dict[str, Any]:
    filecoin_address = to_filecoin(address)
    actor = machine.actor(filecoin_address)
    if actor is None:
        return dict(_NO_ACCOUNT)
    nonce, code = nonce_of_actor(machine, actor), code_of(machine, filecoin_address)
    account: dict[str, Any] = {"balance": hex(actor.balance)}
    if nonce:
        account["nonce"] = nonce
    if code:
        account["code"] = f"0x{code.hex()}"
    if slots:
        account["storage"] = {
            f"0x{slot:064x}": f"0x{storage_of(machine, filecoin_address, slot).hex()}" for slot in sorted(slots)
        }
    return account


def _storage(account: dict[str, Any], slots: list[str]) -> dict[str, Any]:
    words = {slot: account.get("storage", {}).get(slot, _ZERO) for slot in slots}
    left = {slot: word for slot, word in words.items() if word != _ZERO}
    return {"storage": left} if left else {}
