"""Cheatcodes that change accounts: balance, code, slots, nonce, labels, delegations.

Others load accounts from a genesis file and write them to one, attach EIP-7702 authorizations, execute signed
transactions within a test, and return block headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, checksummed, create_address, from_delegated, unmask_id
from bridge.ethereum.transactions import (
    ALL_TYPES,
    Authorization,
    SignedTransaction,
    TransactionError,
    parse_transaction,
)
from bridge.filecoin.parameters import unwrap_return
from hypervisor.types import ActorID, TokenAmount
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.files import allowed_file, read_text, write_bytes
from hypervisor_tools.soltest.cheatcodes.fork.fork_states import active_fork, execute_nested
from hypervisor_tools.soltest.cheatcodes.fork_access import note_etched
from hypervisor_tools.soltest.cheatcodes.fuzzing import copy_drawn, fill_slot
from hypervisor_tools.soltest.cheatcodes.ledger import MAX_NONCE
from hypervisor_tools.soltest.cheatcodes.pranks import NOT_SENT, attach, record_unsent
from hypervisor_tools.soltest.cheatcodes.recording import note_write
from hypervisor_tools.soltest.cheatcodes.signing import account_of
from hypervisor_tools.soltest.cheatcodes.state import (
    CONSOLE_ADDRESS,
    CREATE2_DEPLOYER,
    DEFAULT_SENDER,
    VM_ADDRESS,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from localnet.errors import NodeError
from runtimes.evm import NATIVE_CODE
from runtimes.evm.forks import InvalidTransaction
from runtimes.evm.revm import ObservedCall, TransactionResult
from store.untrusted import parse_json


@cheatcode("deal(address,uint256)")
def _deal(context: Context, account: EthAddress, balance: int) -> None:
    context.ledger.set_balance(account, balance)
    _note_deal(context, account, False, balance)


def _note_deal(context: Context, account: EthAddress, is_nonce: bool, amount: int) -> None:
    if context.depth > 1 and context.run is not None:
        context.cheats.interception.note_deal(account, is_nonce, amount, context.depth)


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
    number = int.from_bytes(slot, "big")
    ledger = context.ledger
    if context.state.arbitrary and isinstance(ledger, ObservedCall):
        fill_slot(context.state, context.settings.seed, ledger, account, number)
    return ledger.load(account, number).to_bytes(32, "big")


@cheatcode("store(address,bytes32,bytes32)")
def _store(context: Context, account: EthAddress, slot: bytes, word: bytes) -> None:
    if _is_precompile(context, account):
        raise CheatcodeFailure(f"cannot use precompile {checksummed(account)} as an argument")
    if _is_precompile_mock(context, account):
        return
    _require_slots(context, account)
    number, value = int.from_bytes(slot, "big"), int.from_bytes(word, "big")
    note_write(context, account, number, value)
    context.state.may_have_failed |= account == VM_ADDRESS
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


def _require_slots(context: Context, account: EthAddress) -> None:
    """Raise CheatcodeFailure for the masked ID of an actor, which has slots only if a test etches code there."""
    actor, machine, ledger = unmask_id(account), context.machine, context.ledger
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if state is None:
        return
    delegated = state.delegated_address
    own_address = None if delegated is None else from_delegated(delegated)
    if state.code not in machine.manifest.ethereum_codes:
        own_code = NATIVE_CODE
    else:
        own_code = b"" if own_address is None else ledger.code(own_address)
    if ledger.code(account) == own_code:
        raise CheatcodeFailure(
            f"{checksummed(account)} is the masked ID of f0{actor}, which has no slots at this address; etch code first"
        )


def _copy_slots(context: Context, source: EthAddress, target: EthAddress) -> None:
    _require_slots(context, target)
    context.state.may_have_failed |= target == VM_ADDRESS
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
    _note_deal(context, account, True, nonce)


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


@cheatcode(
    "computeCreate2Address(bytes32,bytes32)", "computeCreate2Address(bytes32,bytes32,address)", returns="address"
)
def _compute2(_context: Context, salt: bytes, code_hash: bytes, deployer: EthAddress = CREATE2_DEPLOYER) -> EthAddress:
    from store.keccak import keccak

    return EthAddress(bytes(keccak(b"\xff" + deployer + salt + code_hash))[12:])


@cheatcode("warmSlot(address,bytes32)")
def _warm(context: Context, account: EthAddress, slot: bytes) -> None:
    context.require_ethereum("warm slots").load(account, int.from_bytes(slot, "big"))


@cheatcode("cool(address)", "coolSlot(address,bytes32)")
def _cool(context: Context, account: EthAddress, slot: bytes | None = None) -> None:
    """Keep written values, but make the next access to each of the account's slots cold, or to one, as in forge."""
    context.require_ethereum("warm slots").cool(account, None if slot is None else int.from_bytes(slot, "big"))


@cheatcode("allowCheatcodes(address)")
def _allow_cheatcodes(context: Context, account: EthAddress) -> None:
    """Allow cheatcodes for a contract of a fork's network; other contracts always may use them."""
    context.state.allowed.add(account)


@cheatcode("makePersistent(address)", "makePersistent(address,address)", "makePersistent(address,address,address)")
def _persistent(context: Context, *accounts: EthAddress) -> None:
    context.state.persistent.update(accounts)


@cheatcode("revokePersistent(address)")
def _revoke(context: Context, *accounts: EthAddress) -> None:
    context.state.persistent.difference_update(accounts)


cheatcode("makePersistent(address[])")(lambda context, accounts: _persistent(context, *accounts))
cheatcode("revokePersistent(address[])")(lambda context, accounts: _revoke(context, *accounts))


@cheatcode("isPersistent(address)", returns="bool")
def _is_persistent(context: Context, account: EthAddress) -> bool:
    return account in context.state.persistent or account == context.test


def _is_precompile(context: Context, account: EthAddress) -> bool:
    fork = context.fork
    return fork is not None and account in fork.precompiles


def _is_filecoin(account: EthAddress) -> bool:
    return (account[0] == 0xFE and not any(account[1:19])) or unmask_id(account) is not None


_OWN = (VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER, DEFAULT_SENDER)
_OTHERS = "accounts of `setUp` are always included, empty slots never"
_SLOT_SIZE = 150
"""Estimated maximum number of characters of a slot."""


@cheatcode("dumpState(string)", partial=_OTHERS)
def _dump(context: Context, path: str) -> None:
    found, size = {}, 0
    for account in list(_accounts(context)):
        ledger = context.ledger
        code, slots = ledger.code(account), ledger.slots(account)
        size += 2 * len(code) + _SLOT_SIZE * (1 + len(slots))
        check_size(size, "the file")
        nonce, balance = ledger.nonce(account), ledger.balance(account)
        if nonce or balance or code:  # not for slots alone, as in forge
            found[f"0x{account.hex()}"] = {
                "nonce": hex(nonce),
                "balance": hex(balance),
                "code": f"0x{code.hex()}",
                "storage": {f"0x{slot:064x}": f"0x{ledger.load(account, slot):064x}" for slot in slots},
            }
    write_bytes(context, path, json.dumps(dict(sorted(found.items())), separators=(",", ":")).encode())


def _accounts(context: Context) -> Iterator[EthAddress]:
    """Yield the accounts that were created in the test, except its own contract."""
    with context.written_tree() as tree:
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
            context.state.may_have_failed |= address == VM_ADDRESS
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


_SIGNED: Final = "(uint8,bytes32,bytes32,uint64,address)"
Signed = tuple[int, bytes, bytes, int, EthAddress]


def _next_nonce(context: Context, authority: EthAddress) -> int:
    """Return the nonce of an authority's next delegation; a broadcast transaction of its own increments it first."""
    last = context.state.delegations.get(authority)
    if last is not None:
        return last + 1
    pranks = context.cheats.interception.pranks() if context.state.uses_broadcasts else []
    sends = any(prank.broadcasts and prank.sender == authority for prank in pranks)
    return context.ledger.nonce(authority) + sends


def _attach(context: Context, authorization: Authorization, name: str) -> None:
    run = context.require_ethereum("account delegations (EIP-7702)")
    authority = authorization.signer()
    if authority is None:
        raise CheatcodeFailure("signature error")
    expected = _next_nonce(context, authority)
    if expected != authorization.nonce:
        raise CheatcodeFailure(f"invalid nonce for 0x{authority.hex()}: expected {expected}, got {authorization.nonce}")
    run.delegate(authority, authorization.address if any(authorization.address) else None)
    context.state.delegations[authority] = authorization.nonce
    attach(context, name)


def _signing(kind: str, *, attach: bool) -> None:
    """Register the cheatcode that signs a delegation with this last parameter: the nonce, or true for all chains."""

    def sign(context: Context, to: EthAddress, key: int, value: int | bool | None = None) -> Signed:
        account = account_of(key)
        nonce = value if kind == "uint64" and value is not None else _next_nonce(context, account.address)
        signed = account.sign_authorization(to, nonce, 0 if value is True else context.machine.context.chain_id)
        if attach:
            _attach(context, signed, "signAndAttachDelegation")
        return signed.y_parity, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"), nonce, to

    name, partial = ("signAndAttachDelegation", NOT_SENT) if attach else ("signDelegation", "")
    cheatcode(f"{name}(address,uint256{kind and f',{kind}'})", returns=_SIGNED, partial=partial)(sign)


for _kind, _attaches in product(("", "uint64", "bool"), (False, True)):
    _signing(_kind, attach=_attaches)


@cheatcode(f"attachDelegation({_SIGNED})", f"attachDelegation({_SIGNED},bool)", partial=NOT_SENT)
def _attach_signed(context: Context, signed: Sequence[Any], anywhere: bool = False) -> None:
    v, r, s, nonce, to = signed
    chain = 0 if anywhere else context.machine.context.chain_id
    numbers = int.from_bytes(r, "big"), int.from_bytes(s, "big")
    _attach(context, Authorization(chain, EthAddress(to), nonce, v, *numbers), "attachDelegation")


_TYPES_END: Final = 0x80
"""Lowest first byte of an RLP item that no transaction type has."""


def _parse(raw: bytes) -> SignedTransaction:
    try:
        return parse_transaction(raw)
    except TransactionError:
        raise CheatcodeFailure(f"failed to decode RLP-encoded transaction: {_reason(raw)}") from None


def _reason(raw: bytes) -> str:
    """Return the reason in forge's words for refusing to decode a transaction."""
    is_typed = bool(raw) and raw[0] < _TYPES_END
    if is_typed and raw[0] not in ALL_TYPES[1:]:
        return "unexpected tx type"
    content = raw[1:] if is_typed else raw
    try:
        found = rlp.decode(content)
    except rlp.RlpError:
        return "input too short"
    if isinstance(found, bytes):
        return "unexpected string"
    return "input too short" if is_typed else "Unexpected type flag"


@cheatcode("executeTransaction(bytes)", returns="bytes")
def _execute(context: Context, raw: bytes) -> bytes:
    """Execute a transaction without fees, as forge does; a failed one reverts with its data."""
    signed = _parse(raw)
    context.require_ethereum("transactions in the middle of a message")
    before = context.machine.context
    context.machine.context = replace(before, base_fee=TokenAmount(0))
    free = replace(signed.transaction, max_fee=0, max_priority_fee=0)
    try:
        found = _apply(context, signed, free)
    except InvalidTransaction as error:
        raise CheatcodeFailure(f"transaction execution failed: {_invalid(error)}") from None
    finally:
        context.machine.context = before
    if not found.success:
        raise CheatcodeFailure("", unwrap_return(found.output) or b"")
    return unwrap_return(found.output)


@cheatcode("broadcastRawTransaction(bytes)", partial=NOT_SENT)
def _broadcast(context: Context, raw: bytes) -> None:
    """Execute a transaction with its fees, without sending it."""
    signed = _parse(raw)
    context.require_ethereum("transactions in the middle of a message")
    try:
        _apply(context, signed, signed.transaction)
    except InvalidTransaction as error:
        raise CheatcodeFailure(_invalid(error)) from None
    record_unsent(context, "broadcastRawTransaction")


def _apply(context: Context, signed: SignedTransaction, transaction: Any) -> TransactionResult:
    return execute_nested(context, transaction, signed.sender(), is_checked=True)


def _invalid(error: InvalidTransaction) -> str:
    is_foreign = error.refusal.name == "INVALID_CHAINID"
    return f"transaction validation error: {'invalid chain ID' if is_foreign else error}"


@cheatcode("getRawBlockHeader(uint256)", returns="bytes")
def _header(context: Context, number: int) -> bytes:
    from localnet.fork.response_values import read_header

    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("no active fork")
    chain = context.cheats.remotes.chain(context.state.forks.forks[active].url)
    try:
        return chain.read(read_header, "eth_getBlockByNumber", hex(number), False)
    except NodeError as error:
        raise CheatcodeFailure(f"failed to get block: {error}") from None
