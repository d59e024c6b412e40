"""Cheatcodes that write accounts to a genesis file, and load accounts from one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.ethereum.addresses import EthAddress, from_delegated
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.files import allowed_file, read_text, write_bytes
from fvm_hypervisor.soltest.cheatcodes.limits import check_size
from fvm_hypervisor.soltest.cheatcodes.state import CONSOLE_ADDRESS, CREATE2_DEPLOYER, DEFAULT_SENDER, VM_ADDRESS
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from hypervisor.types import ActorID
from store.untrusted import parse_json

_OWN = (VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER, DEFAULT_SENDER)
_OTHERS = "accounts of `setUp` are always included, empty slots never"
_SLOT_SIZE = 150
"""Estimated maximum number of characters of a slot."""


@cheatcode("dumpState(string)", partial=_OTHERS)
def _dump(context: Context, path: str) -> None:
    found, size = {}, 0
    for account in _accounts(context):
        ledger = context.ledger
        code, slots = ledger.code(account), ledger.slots(account)
        size += 2 * len(code) + _SLOT_SIZE * (1 + len(slots))
        check_size(size, "the file")
        nonce, balance = ledger.nonce(account), ledger.balance(account)
        if nonce or balance or code or slots:
            found[f"0x{account.hex()}"] = {
                "nonce": hex(nonce),
                "balance": hex(balance),
                "code": f"0x{code.hex()}",
                "storage": {f"0x{slot:064x}": f"0x{ledger.load(account, slot):064x}" for slot in slots},
            }
    write_bytes(context, path, json.dumps(dict(sorted(found.items())), separators=(",", ":")).encode())


def _accounts(context: Context) -> Iterator[EthAddress]:
    """Yield the accounts that were created in the test, except its own contract."""
    tree = context.calls.tree
    for actor in range(context.settings.first_actor, tree.init_state().next_id):
        state = tree.get_actor(ActorID(actor))
        address = None if state is None else from_delegated(state.delegated_address)
        if address is not None and address not in _OWN and address != context.test:
            yield address


@cheatcode("loadAllocs(string)")
def _load_allocs(context: Context, path: str) -> None:
    if not allowed_file(context, path, "read").is_file():
        raise CheatcodeFailure(f"allocs file does not exist: {path}")
    try:
        genesis = parse_json(read_text(context, path))
        accounts = genesis.get("alloc", genesis)
        read = [(_address(name), *_account(account)) for name, account in accounts.items()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheatcodeFailure(f'failed to parse json file: "{path}": {error}') from None
    ledger = context.ledger
    for address, balance, nonce, code, slots in read:
        ledger.set_balance(address, balance)
        if nonce:
            ledger.set_nonce(address, nonce)
        if code:
            ledger.set_code(address, code)
        for slot, word in slots.items():
            ledger.store(address, slot, word)


def _account(genesis: Mapping[str, Any]) -> tuple[int, int, bytes, dict[int, int]]:
    """Return balance, nonce, code and slots."""
    code = bytes.fromhex(str(genesis.get("code") or "").removeprefix("0x"))
    slots = {_number(slot): _number(word) for slot, word in (genesis.get("storage") or {}).items()}
    return _number(genesis.get("balance", 0)), _number(genesis.get("nonce") or 0), code, slots


def _address(text: str) -> EthAddress:
    found = bytes.fromhex(text.removeprefix("0x"))
    if len(found) != 20:
        raise ValueError(f"'{text}' is not an address")
    return EthAddress(found)


def _number(genesis: str | int) -> int:
    found = genesis if isinstance(genesis, int) else int(genesis, 0)
    if not 0 <= found < 1 << 256:
        raise ValueError(f"{genesis} is not a word of 32 bytes")
    return found
