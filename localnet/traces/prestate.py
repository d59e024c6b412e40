"""Output of geth's prestateTracer: touched accounts before a transaction and, in diff mode, after it.

Shapes: go-ethereum eth/tracers/native/prestate.go. Native actors are listed like other accounts, under their masked
ID addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import Authorization, delegation_of
from bridge.traces.frames import Directory
from bridge.traces.tracers import TouchedAccounts
from hypervisor.machine.machine import Hypervisor
from localnet.state.contract_state import code_of, nonce_of_actor, storage_of

State = dict[str, dict[str, Any]]
_ZERO: Final = "0x" + "00" * 32


@dataclass(frozen=True, slots=True)
class PrestateOptions:
    """Options with geth's names. Empty accounts are omitted, unless they are included."""

    diff_mode: bool = False
    disable_code: bool = False
    disable_storage: bool = False
    include_empty: bool = False


def accessed(
    machine: Hypervisor, touched: TouchedAccounts, directory: Directory, authorizations: Iterable[Authorization]
) -> dict[EthAddress, set[int]]:
    """Return the accounts that a transaction accessed, with their slots; the machine is in the state after it.

    Under Ethereum's rules they include the fee recipient, the signers of authorizations, and the delegates of called
    accounts (EIP-7702).
    """
    found, block = touched.accounts(directory), machine.context.block
    delegates = (delegation_of(code_of(machine, to_filecoin(target))) for target in touched.targets)
    others = [*delegates, *(authorization.signer() for authorization in authorizations)]
    if isinstance(block, EthereumBlock):
        others.append(block.coinbase)
    for address in others:
        if address is not None:
            found.setdefault(address, set())
    return found


def state_of(machine: Hypervisor, touched: Mapping[EthAddress, set[int]], options: PrestateOptions) -> State:
    """Return the touched accounts and slots in their current state: balance, and nonce, code and storage if any."""
    return {f"0x{address.hex()}": _account(machine, address, slots, options) for address, slots in touched.items()}


def prestate(state: State, options: PrestateOptions) -> State:
    """Return the state before a transaction, without empty accounts unless the options include them."""
    return {
        address: _shown(account, options)
        for address, account in state.items()
        if options.include_empty or not _is_empty(account)
    }


def changes(before: State, after: State, options: PrestateOptions) -> dict[str, State]:
    """Return the difference: `pre` has the changed accounts before, `post` the changed fields after.

    A new account is in `post` only, a destroyed one in `pre` only. Changed slots are included, each side only if its
    value is not 0.
    """
    pre: State = {}
    post: State = {}
    for address, whole in before.items():
        old, new = _shown(whole, options), _shown(after[address], options)
        if old == new:
            continue
        slots = [slot for slot, word in old.get("storage", {}).items() if new.get("storage", {}).get(slot) != word]
        if not _is_empty(whole):
            fields = {name: value for name, value in old.items() if name != "storage"}
            pre[address] = fields | _storage(old, slots)
        if not _is_empty(after[address]):
            changed = {name: value for name, value in new.items() if name != "storage" and old.get(name) != value}
            if "code" in old and "code" not in new:
                changed["code"] = "0x"
            post[address] = changed | _storage(new, slots)
    return {"pre": pre, "post": post}


def _shown(account: dict[str, Any], options: PrestateOptions) -> dict[str, Any]:
    return {name: value for name, value in account.items() if name != "code" or not options.disable_code}


def _is_empty(account: Mapping[str, Any]) -> bool:
    return account["balance"] == "0x0" and not {"nonce", "code"} & account.keys()


def _account(machine: Hypervisor, address: EthAddress, slots: set[int], options: PrestateOptions) -> dict[str, Any]:
    filecoin_address = to_filecoin(address)
    actor = machine.actor(filecoin_address)
    account: dict[str, Any] = {"balance": "0x0" if actor is None else hex(actor.balance)}
    if actor is not None:
        nonce, code = nonce_of_actor(machine, actor), code_of(machine, filecoin_address)
        if nonce:
            account["nonce"] = nonce
        if code:
            account["code"] = f"0x{code.hex()}"
    if slots and not options.disable_storage:
        account["storage"] = {
            f"0x{slot:064x}": f"0x{storage_of(machine, filecoin_address, slot).hex()}" for slot in sorted(slots)
        }
    return account


def _storage(account: dict[str, Any], slots: list[str]) -> dict[str, Any]:
    words = {slot: account.get("storage", {}).get(slot, _ZERO) for slot in slots}
    left = {slot: word for slot, word in words.items() if word != _ZERO}
    return {"storage": left} if left else {}
