"""Cheatcodes that change accounts (balance, code, slots, nonce), and labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from bridge.ethereum.addresses import EthAddress, checksummed, create_address, unmask_id
from fvm_hypervisor.soltest.cheatcodes.arbitrary import copy_drawn, fill_slot
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.fork_access import note_etched
from fvm_hypervisor.soltest.cheatcodes.ledger import MAX_NONCE
from fvm_hypervisor.soltest.cheatcodes.recording import note_write
from fvm_hypervisor.soltest.cheatcodes.state import CREATE2_DEPLOYER, Deal
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from runtimes.evm.ethereum import EthereumCalls, EthereumHost


@cheatcode("deal(address,uint256)")
def _deal(context: Context, account: EthAddress, balance: int) -> None:
    context.ledger.set_balance(account, balance)
    if context.depth > 1:
        context.state.deals.append(Deal(account, balance, context.depth))


@cheatcode("etch(address,bytes)")
def _etch(context: Context, account: EthAddress, code: bytes) -> None:
    if _is_precompile(context, account):
        raise CheatcodeFailure(f"cannot use precompile {checksummed(account)} as an argument")
    if _is_precompile_mock(context, account):
        return
    if context.state.forks.forks:
        note_etched(context, account)
    context.ledger.set_code(account, code)


@cheatcode("load(address,bytes32)", returns="bytes32")
def _load(context: Context, account: EthAddress, slot: bytes) -> bytes:
    if _is_precompile(context, account):
        raise CheatcodeFailure(f"cannot use precompile {checksummed(account)} as an argument")
    number, host = int.from_bytes(slot, "big"), context.host
    if context.state.arbitrary and isinstance(host, EthereumHost):
        fill_slot(context.state, context.settings.seed, host.accounts, account, number)
    return context.ledger.load(account, number).to_bytes(32, "big")


@cheatcode("store(address,bytes32,bytes32)")
def _store(context: Context, account: EthAddress, slot: bytes, word: bytes) -> None:
    if _is_precompile(context, account):
        raise CheatcodeFailure(f"cannot use precompile {checksummed(account)} as an argument")
    if _is_precompile_mock(context, account):
        return
    number, value = int.from_bytes(slot, "big"), int.from_bytes(word, "big")
    note_write(context, account, number, value)
    context.state.drawn.setdefault((account, number))
    context.ledger.store(account, number, value)


@cheatcode("cloneAccount(address,address)")
def _clone(context: Context, source: EthAddress, target: EthAddress) -> None:
    if _is_precompile_mock(context, target):
        return
    ledger = context.ledger
    ledger.set_balance(target, ledger.balance(source))
    code = ledger.code(source)
    if code:
        ledger.set_code(target, code)
    ledger.set_nonce(target, ledger.nonce(source))
    _copy_slots(context, source, target)


@cheatcode("copyStorage(address,address)")
def _copy_storage(context: Context, source: EthAddress, target: EthAddress) -> None:
    if not _is_precompile_mock(context, target):
        _copy_slots(context, source, target)


def _is_precompile_mock(context: Context, account: EthAddress) -> bool:
    """Return True if mocks of Filecoin's precompiles are ignored: their code and slots are not written."""
    return context.settings.real_filecoin and _is_filecoin(account)


def _copy_slots(context: Context, source: EthAddress, target: EthAddress) -> None:
    for slot in context.ledger.slots(target):
        context.ledger.store(target, slot, 0)
    for slot in context.ledger.slots(source):
        context.ledger.store(target, slot, context.ledger.load(source, slot))
    copy_drawn(context.state, source, target)


@cheatcode("getNonce(address)", returns="uint64")
def _get_nonce(context: Context, account: EthAddress) -> int:
    return context.ledger.nonce(account)


@cheatcode("setNonce(address,uint64)")
def _set_nonce(context: Context, account: EthAddress, nonce: int) -> None:
    current = context.ledger.nonce(account)
    if nonce < current:
        raise CheatcodeFailure(
            f"new nonce ({nonce}) must be strictly equal to or higher than the account's current nonce ({current})"
        )
    _set_nonce_unsafe(context, account, nonce)


@cheatcode("setNonceUnsafe(address,uint64)")
def _set_nonce_unsafe(context: Context, account: EthAddress, nonce: int) -> None:
    context.ledger.set_nonce(account, nonce)
    if context.depth > 1:
        context.state.deals.append(Deal(account, nonce, context.depth, nonce=True))


@cheatcode("resetNonce(address)")
def _reset_nonce(context: Context, account: EthAddress) -> None:
    context.ledger.set_nonce(account, 1 if context.ledger.code(account) else 0)


@cheatcode("label(address,string)")
def _label(context: Context, account: EthAddress, label: str) -> None:
    context.state.labels[account] = label


@cheatcode("getLabel(address)", returns="string")
def _get_label(context: Context, account: EthAddress) -> str:
    return context.state.labels.get(account, f"unlabeled:{checksummed(account)}")


@cheatcode("computeCreateAddress(address,uint256)", returns="address")
def _compute(_context: Context, deployer: EthAddress, nonce: int) -> EthAddress:
    if nonce > MAX_NONCE:
        raise CheatcodeFailure("nonce must be less than 2^64")
    return create_address(deployer, nonce)


@cheatcode("computeCreate2Address(bytes32,bytes32,address)", returns="address")
def _compute2(_context: Context, salt: bytes, code_hash: bytes, deployer: EthAddress) -> EthAddress:
    return _create2(deployer, salt, code_hash)


@cheatcode("computeCreate2Address(bytes32,bytes32)", returns="address")
def _compute2_default(_context: Context, salt: bytes, code_hash: bytes) -> EthAddress:
    return _create2(CREATE2_DEPLOYER, salt, code_hash)


def _create2(deployer: EthAddress, salt: bytes, code_hash: bytes) -> EthAddress:
    from store.keccak import keccak

    return EthAddress(bytes(keccak(b"\xff" + deployer + salt + code_hash))[12:])


@cheatcode("warmSlot(address,bytes32)")
def _warm(context: Context, account: EthAddress, slot: bytes) -> None:
    calls = context.ethereum("warm slots")
    calls.accounts.warm(account)
    calls.accounts.warm_slot(account, int.from_bytes(slot, "big"))


@cheatcode("cool(address)")
def _cool(context: Context, account: EthAddress) -> None:
    """Keep written values, but make the next access to each of the account's slots cold, as in forge."""
    _forget_touches(context, account, None)


@cheatcode("coolSlot(address,bytes32)")
def _cool_slot(context: Context, account: EthAddress, slot: bytes) -> None:
    _forget_touches(context, account, slot)


def _forget_touches(context: Context, account: EthAddress, slot: bytes | None) -> None:
    calls = context.ethereum("warm slots")
    calls.accounts.write_back()
    actor, key = calls.accounts.find(account), None if slot is None else slot[::-1]

    def is_touch(entry: Hashable) -> bool:
        match entry:
            case (int() as of, bytes() as own) | ("earlier", int() as of, bytes() as own):
                return of == actor and key in (None, own)
            case ("warm", bytes() as of, bytes() as own):
                return of == account and key in (None, own)
        return False

    retained = {entry: value for entry, value in calls.journal.items() if value is not None and not is_touch(entry)}
    calls.journal.restore_image(retained)


@cheatcode("allowCheatcodes(address)")
def _allow_cheatcodes(context: Context, account: EthAddress) -> None:
    """Allow cheatcodes for a contract of a fork's network; other contracts always may use them."""
    context.state.allowed.add(account)


@cheatcode("makePersistent(address)", "makePersistent(address,address)", "makePersistent(address,address,address)")
def _persistent(context: Context, *accounts: EthAddress) -> None:
    context.state.persistent.update(accounts)


@cheatcode("makePersistent(address[])")
def _persistent_list(context: Context, accounts: Sequence[EthAddress]) -> None:
    context.state.persistent.update(accounts)


@cheatcode("revokePersistent(address)")
def _revoke(context: Context, account: EthAddress) -> None:
    context.state.persistent.discard(account)


@cheatcode("revokePersistent(address[])")
def _revoke_list(context: Context, accounts: Sequence[EthAddress]) -> None:
    context.state.persistent.difference_update(accounts)


@cheatcode("isPersistent(address)", returns="bool")
def _is_persistent(context: Context, account: EthAddress) -> bool:
    return account in context.state.persistent or account == context.test


def _is_precompile(context: Context, account: EthAddress) -> bool:
    calls = context.calls
    return isinstance(calls, EthereumCalls) and account in calls.environment.fork.precompiles


def _is_filecoin(account: EthAddress) -> bool:
    return (account[0] == 0xFE and not any(account[1:19])) or unmask_id(account) is not None
