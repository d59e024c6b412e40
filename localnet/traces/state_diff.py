"""Accounts before and after a transaction, in geth's and Parity's formats.

geth's prestateTracer lists touched accounts before a transaction and, in diff mode, after it. Native actors are listed
like other accounts, under their masked ID addresses. Shapes: go-ethereum eth/tracers/native/prestate.go.

Parity's `stateDiff` lists all changed accounts, also those that only pay or receive fees. A value is `"="`,
`{"+": new}`, `{"-": old}` or `{"*": {"from": old, "to": new}}`. An account that is created and deleted by the same
transaction is not listed. Under Filecoin's rules only contracts have code and storage, as in Forest: a new account has
the code `"="`, and a destroyed contract loses its code while its slots change to 0. Under Ethereum's rules every
account has code, if only `0x`. Sources: OpenEthereum's page on the trace module, alloy `rpc-types-trace`, Forest
`eth/trace/state_diff.rs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bridge.ethereum.addresses import EthAddress, to_ethereum, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import BLOB, Authorization, delegation_of
from bridge.traces.frames import Directory
from bridge.traces.tracers import TouchedAccounts
from hypervisor.errors import Fatal
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID
from localnet.fork.account_origin import RemoteWords
from localnet.rules.parts import rules_of
from localnet.state.controls import code_of, code_of_contract, nonce_of_actor, state_with_storage, storage_of
from store.cid import Cid
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, Kamt, StoredWords

State = dict[str, dict[str, Any]]
_ZERO: Final = "0x" + "00" * 32
_CODE_HASH: Final = "codeHash"
_NO_CODE: Final = f"0x{keccak(b'').hex()}"


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
    delegates = (delegation_of(code_of(machine, to_filecoin(target))) for target in touched.targets())
    others = [*delegates, *(authorization.signer() for authorization in authorizations)]
    if isinstance(block, EthereumBlock):
        others.append(block.coinbase)
    for address in others:
        if address is not None:
            found.setdefault(address, set())
    return found


def destroyed(machine: Hypervisor, touched: TouchedAccounts) -> Set[EthAddress]:
    """Return the contracts that SELFDESTRUCT removes: under EIP-6780 only new ones."""
    return touched.destroyed(created=BLOB in rules_of(machine).features.transaction_types)


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


def changes(before: State, after: State, options: PrestateOptions, destroyed: Set[EthAddress]) -> dict[str, State]:
    """Return the difference: `pre` has the changed accounts before, `post` the changed fields after.

    A new account is in `post` only, a destroyed one in `pre` only. Changed slots are included, each side only if its
    value is not 0. The hash of code in `post` is zero for an account that does not exist.
    """
    pre: State = {}
    post: State = {}
    removed = {f"0x{address.hex()}" for address in destroyed}
    for address, whole in before.items():
        old = _shown(whole, options)
        if address in removed:
            if not _is_empty(whole):
                pre[address] = old
            continue
        new = {name: value for name, value in after[address].items() if name != "code" or not options.disable_code}
        slots = [slot for slot, word in old.get("storage", {}).items() if new.get("storage", {}).get(slot) != word]
        known = {_CODE_HASH: _NO_CODE, **old}
        changed = {name: value for name, value in new.items() if name != "storage" and known.get(name) != value}
        if "code" in old and "code" not in new:
            changed["code"] = "0x"
        if not changed and not slots and ("nonce" in new or "nonce" not in old):
            continue
        if not _is_empty(whole):
            fields = {name: value for name, value in old.items() if name != "storage"}
            pre[address] = fields | _storage(old, slots)
        post[address] = changed | _storage(new, slots)
    return {"pre": pre, "post": post}


def _shown(account: dict[str, Any], options: PrestateOptions) -> dict[str, Any]:
    """Return the fields of an account before a transaction; the hash only of code."""
    omitted = {"code"} if options.disable_code else set[str]()
    if account[_CODE_HASH] in (_NO_CODE, _ZERO):
        omitted.add(_CODE_HASH)
    return {name: value for name, value in account.items() if name not in omitted}


def _is_empty(account: Mapping[str, Any]) -> bool:
    return account["balance"] == "0x0" and not {"nonce", "code"} & account.keys()


def _account(machine: Hypervisor, address: EthAddress, slots: set[int], options: PrestateOptions) -> dict[str, Any]:
    filecoin_address = to_filecoin(address)
    actor = machine.actor(filecoin_address)
    account: dict[str, Any] = {"balance": "0x0" if actor is None else hex(actor.balance), _CODE_HASH: _ZERO}
    if actor is not None:
        nonce, code = nonce_of_actor(machine, actor), code_of(machine, filecoin_address)
        if nonce:
            account["nonce"] = nonce
        if nonce or code or actor.balance:  # others are not there for Ethereum
            account[_CODE_HASH] = f"0x{keccak(code).hex()}"
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


_SAME: Final = "="
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Account:
    """Values of an account; `code` and `storage` are None where the rules give it none."""

    balance: int
    nonce: int
    code: bytes | None
    storage: Cid | None


class StateDiff:
    """The changes of a machine's state since the object's creation. The state must not be flushed in between."""

    def __init__(self, machine: Hypervisor) -> None:
        self._machine, self._before = machine, machine.state_tree.image()
        self._every_account_has_code = rules_of(machine).features.every_account_has_code

    def changes(self) -> dict[str, dict[str, Any]]:
        """Return the changed accounts by address."""
        found = {}
        for actor, old, new in self._changed_actors():
            before, after = self._account(old), self._account(new)
            if before == after:
                continue
            present = new or old
            assert present is not None, "one of two different states is there"
            address = to_ethereum(actor, present.delegated_address)
            found[f"0x{address.hex()}"] = self._account_diff(before, after)
        return dict(sorted(found.items()))

    def _changed_actors(self) -> Iterator[tuple[ActorID, ActorState | None, ActorState | None]]:
        """Yield the actors that were written and differ, with their states."""
        tree, image = self._machine.state_tree, self._before
        after = tree.image()
        if after.root != image.root:
            raise Fatal("the state was flushed during the execution, so its changes are unknown")
        flushed = StateTree(tree.store, image.root)
        flushed.read_from(tree.origin)
        for actor in sorted(set(after.actors) | set(image.actors)):
            old = image.actors[actor] if actor in image.actors else flushed.get_actor(actor)
            new = tree.get_actor(actor)
            if old != new:
                yield actor, old, new

    def _account(self, actor: ActorState | None) -> _Account | None:
        if actor is None:
            return None
        state = state_with_storage(self._machine, actor)
        code: bytes | None = None
        if state is not None and (state.bytecode is not None or state.account is not None):
            code = code_of_contract(self._machine, state)
        storage = None if state is None else state.storage or EMPTY_KAMT
        if self._every_account_has_code:
            code, storage = code or b"", storage or EMPTY_KAMT
        return _Account(actor.balance, nonce_of_actor(self._machine, actor), code, storage)

    def _account_diff(self, before: _Account | None, after: _Account | None) -> dict[str, Any]:
        def delta(read: Callable[[_Account], _T | None], write: Callable[[_T], str]) -> Any:
            old, new = (None if account is None else read(account) for account in (before, after))
            return _delta(old, new, write)

        return {
            "balance": delta(lambda account: account.balance, hex),
            "nonce": delta(lambda account: account.nonce, hex),
            "code": delta(lambda account: account.code, lambda code: f"0x{code.hex()}"),
            "storage": self._storage_diff(*(None if each is None else each.storage for each in (before, after))),
        }

    def _storage_diff(self, before: Cid | None, after: Cid | None) -> dict[str, Any]:
        """Return the changed slots. Those of a new account are added, those of a deleted one removed."""
        if before == after:
            return {}
        words = self._machine.state_tree.words
        old, new = words(before or EMPTY_KAMT), words(after or EMPTY_KAMT)
        return {
            _word(slot): _delta(None if before is None else first, None if after is None else second, _word)
            for slot, first, second in sorted(_differences(old, new))
        }


def _delta(old: _T | None, new: _T | None, write: Callable[[_T], str]) -> Any:
    """Return the change of one value; None stands for no value."""
    if old == new:
        return _SAME
    if old is None or new is None:
        return {"-": write(old)} if old is not None else {"+": write(new)}  # type: ignore[arg-type]  # one is present
    return {"*": {"from": write(old), "to": write(new)}}


def _differences(old: StoredWords, new: StoredWords) -> Iterator[tuple[int, int, int]]:
    """Return (slot, old word, new word) of the slots that differ."""
    if isinstance(old, Kamt) and isinstance(new, Kamt):
        return old.differences(new)
    if isinstance(old, RemoteWords) and isinstance(new, RemoteWords):
        return old.differences(new)
    # The contract of another node was deleted here: only the slots written here are known.
    known = sorted({slot for words in (old, new) for slot, _ in words.items()})
    return ((slot, old.get(slot), new.get(slot)) for slot in known if old.get(slot) != new.get(slot))


def _word(value: int) -> str:
    return f"0x{value:064x}"
