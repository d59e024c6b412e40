"""Call trees in the guest under Ethereum's rules: eligible frames, host calls, and the changes written back.

While a tree runs, the message's state is only read, so no host call here has side effects. A tree that reaches
something it does not support (a native actor, a Filecoin precompile, a masked ID, a watched address) is discarded, and
its first frame runs again separately. With an interceptor between frames, the first frame waits instead, and the tree's
changes so far are committed.

Format: `guests/evm/src/journal.rs`; 64-bit numbers and words, little-endian.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from struct import Struct
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import SYSTEM_ADDRESS
from bridge.filecoin.receipts import DATA_KEY, INDEXED_FLAGS, TOPIC_KEYS, entry_of_log
from hypervisor.errors import OutOfGas
from hypervisor.messages.events import EventEntry, StampedEvent
from hypervisor.types import SYSTEM_ACTOR, ActorID
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.engine import EngineRules, Frame, Host, SubcallOutcome, TreeHost, TreeMode
from runtimes.evm.fast.instance import FastInstance
from runtimes.evm.fast.numbers import AccountFlag, ChangeFlag, TreeFlag
from runtimes.evm.gas_table import StateGas, StateGasMeter
from runtimes.evm.rules import P256_ADDRESS
from store.cid import CBOR_CID_PREFIX, RAW
from store.trees.kamt import EMPTY_KAMT

_ANY_CODE: Final = 1 << 24
"""Value that means that code size is not limited."""
_START_LAYOUT: Final = Struct("<7QQ20s4xQ20s4xQ32s4Q32s32s32s32s")
"""Layout of the mailbox at a tree's start: the numbers, the program counter, and the words.

The first word is followed by the state gas that is left, the second by the spilled execution gas.
"""
_ACCOUNT_LAYOUT: Final = Struct("<7QQ32s32s32s20s12x32s")
"""Layout of the mailbox with an account."""
_ZERO: Final = bytes(32)
_NO_STATE_GAS: Final = StateGas()
_AccountFields = tuple[int, int, int, bytes, bytes, bytes, bytes, bytes]
"""Fields of an account: flags, nonce, code size; then, in the guest's byte order, balance, code hash, code key,
delegate, storage root.
"""
_ABSENT_ACCOUNT: Final = 0, 0, _ZERO, EMPTY_CODE_HASH[::-1], _ZERO, _ZERO[:20], _ZERO
"""The fields after the flags for an address without an actor."""
_MAX_ABANDONED: Final = 8
"""Number of abandoned trees after which a message tries no further tree."""
_SKIPS: Final = 63
"""Number of calls for which code whose tree was abandoned runs frame by frame."""
_CODES: Final = 4096
_LOW: Final = 64
"""Number of low addresses for which the guest has a bit that marks precompiles."""


class Backoff:
    """Codes, by hash, that are not tried as a tree for a number of calls."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}

    def add(self, code: bytes) -> None:
        """Record a failed attempt."""
        if len(self._left) >= _CODES:
            self._left.clear()
        self._left[hash(code)] = _SKIPS

    def skip(self, code: bytes) -> bool:
        """Return True, and count the call, if the code is not to be tried."""
        key = hash(code)
        left = self._left.get(key, 0)
        if left:
            self._left[key] = left - 1
        return left > 0


_MODE_FLAGS: Final = {
    TreeMode.WHOLE: 0,
    TreeMode.WAITING: TreeFlag.MAY_WAIT,
    TreeMode.OBSERVED: TreeFlag.MAY_WAIT | TreeFlag.ASKS,
}


class TreeSelection:
    """Chooses the frames to run as trees; affects performance only."""

    def __init__(self) -> None:
        self._skips = Backoff()
        self._left: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def start_flags(self, code: bytes, host: Host) -> int | None:
        """Return the guest's flags for running the frame with all nested calls, or None to run it on its own.

        A frame that can wait is always tried, because its changes are committed when it waits.
        """
        mode = host.tree_mode()
        if mode is None:
            return None
        if mode is TreeMode.WHOLE:
            left = self._left.get(cast(TreeHost, host).message, 0)
            if left >= _MAX_ABANDONED or self._skips.skip(code):
                return None
        return _MODE_FLAGS[mode]

    def resume_flags(self, host: Host) -> int | None:
        """Return the flags for a frame that continues with a subcall's outcome, or None."""
        mode = host.tree_mode()
        return None if mode is None or mode is TreeMode.WHOLE else _MODE_FLAGS[mode]

    def record_abandoned(self, code: bytes, host: TreeHost) -> None:
        """Record a tree that was abandoned before its end."""
        self._skips.add(code)
        self._left[host.message] = self._left.get(host.message, 0) + 1


def write_tree_start(
    guest: FastInstance,
    frame: Frame,
    host: TreeHost,
    rules: int,
    code: int,
    tree_flags: int,
) -> None:
    """Write a tree's start to the mailbox, except the gas, including the first frame's account."""
    words = frame.address[::-1], frame.caller[::-1], frame.value.to_bytes(32, "little")
    _write_start(
        guest,
        host,
        (rules, code),
        frame.calldata,
        words,
        tree_flags | TreeFlag.STATIC if frame.static else tree_flags,
    )


def write_outcome(
    guest: FastInstance, host: TreeHost, frame: int, outcome: SubcallOutcome, output: bytes, tree_flags: int
) -> None:
    """Write a subcall's outcome for a frame that continues as the first of a tree.

    `frame` is the guest's number of the frame.
    """
    _write_start(
        guest,
        host,
        (frame, outcome.success),
        output,
        ((outcome.created or _ZERO[:20])[::-1], _ZERO[:20], _ZERO),
        tree_flags,
    )


def _write_start(
    guest: FastInstance, host: TreeHost, head: tuple[int, int], data: bytes, words: tuple[bytes, bytes, bytes],
    tree_flags: int,
) -> None:  # fmt: skip
    precompiles, flags = guest.features
    guest.owners = {host.address: host.actor}
    guest.pass_in(data)
    code, init_code = host.code_limits
    limits = (_ANY_CODE if code is None else code) | (_ANY_CODE if init_code is None else init_code) << 32
    account, nonce, size, balance, code_hash, key, _, root = _account_fields(guest, host.address, host)
    if not account & (AccountFlag.LEAVE | AccountFlag.DELEGATES):
        flags |= TreeFlag.TOLD
    state = _NO_STATE_GAS if host.meter is None else host.meter.current
    guest.put_all(
        _START_LAYOUT,
        *(*head, len(data), size, host.depth_left, precompiles, flags | tree_flags, 0),
        *(words[0], state.reservoir, words[1], state.spilled, words[2]),
        *(host.memory_used, limits, account, nonce, balance, code_hash, key, root),
    )


def take_state_gas(guest: FastInstance, meter: StateGasMeter) -> None:
    """Record the state gas of a tree that ended or stopped, before its changes are committed or rolled back."""
    left, used, borrowed = guest.state_gas()
    meter.current = StateGas(left, meter.current.used + used, borrowed)


def features(rules: EngineRules) -> tuple[int, int]:
    """Return a bit for each precompile at a low address, and the fork's tree flags; zeros without tree rules."""
    fork = rules.tree
    if fork is None:
        return 0, 0
    numbers = (int.from_bytes(address, "big") for address in fork.precompiles)
    precompiles = sum(1 << number for number in numbers if number < _LOW)
    has_p256 = P256_ADDRESS in fork.precompiles
    more = (
        (TreeFlag.DELEGATIONS, fork.delegations),
        (TreeFlag.P256, has_p256),
        (TreeFlag.BOUNDED_MODEXP, fork.bounded_modexp),
        (TreeFlag.REPRICED_MODEXP, fork.repriced_modexp),
        (TreeFlag.CLEARS_EMPTY, fork.clears_empty),
        (TreeFlag.KEEPS_64TH, fork.keeps_64th),
        (TreeFlag.PAYS_FOR_CREATION, fork.pays_for_creation),
        (TreeFlag.RESERVES_0XEF, fork.reserves_0xef),
        (TreeFlag.DESTROYS_NEW_ONLY, fork.destroys_new_only),
        (TreeFlag.TRANSFER_LOGS, fork.transfer_logs),
        (TreeFlag.BURNS_BALANCE, fork.burns_balance),
    )
    return precompiles, sum(bit for bit, has in more if has)


# --- host calls -------------------------------------------------------------------------------------------------------


def _tick(_: FastInstance, host: TreeHost) -> None:
    """Give other threads a chance to run, and stop after an interrupt, which has emptied the tracker."""
    if host.is_stopped:
        raise OutOfGas("interrupted")


def _account(guest: FastInstance, host: TreeHost) -> None:
    flags, nonce, size, *words = _account_fields(guest, guest.address(0), host)
    guest.put_all(_ACCOUNT_LAYOUT, flags, nonce, size, 0, 0, 0, 0, guest.position, *words)


def _account_fields(guest: FastInstance, address: EthAddress, host: TreeHost) -> _AccountFields:
    """Return an account's fields for the guest."""
    accounts = host.accounts
    if host.leaves_tree(address):
        return AccountFlag.LEAVE, *_ABSENT_ACCOUNT
    actor = _owner(guest, address, host)
    flags = AccountFlag.WARM if accounts.is_warm(address) else 0
    if host.is_watched(address):
        flags |= AccountFlag.ASKED
    is_touched = accounts.has_touched_slots(actor, address)
    if is_touched:
        flags |= AccountFlag.HAS_SLOTS
    if actor is None:
        return flags, *_ABSENT_ACCOUNT
    found = accounts.view(actor)
    if found is None:
        return AccountFlag.LEAVE, *_ABSENT_ACCOUNT
    flags |= AccountFlag.EXISTS | (AccountFlag.CREATED if found.was_created else 0)
    if accounts.was_destroyed(actor):
        flags |= AccountFlag.DESTROYED
    root = _ZERO
    if found.storage != EMPTY_KAMT:
        flags |= AccountFlag.HAS_SLOTS | AccountFlag.HAD_SLOTS
        if not is_touched and found.storage.startswith(CBOR_CID_PREFIX):
            flags |= AccountFlag.UNTOUCHED
            root = found.storage[:-33:-1]
    size, target = accounts.code_size_and_delegate(found.code)
    delegate = _ZERO[:20]
    if target is not None and guest.features[1] & TreeFlag.DELEGATIONS:
        flags |= AccountFlag.DELEGATES
        delegate = target[::-1]
    balance = found.balance.to_bytes(32, "little")
    return flags, found.nonce, size, balance, found.code_hash[::-1], found.code[:-33:-1], delegate, root


def _owner(guest: FastInstance, address: EthAddress, host: TreeHost) -> ActorID | None:
    owners = guest.owners
    if address not in owners:
        owners[address] = host.accounts.find(address)
    return owners[address]


def _slot(guest: FastInstance, host: TreeHost) -> None:
    address, slot = guest.address(0), guest.word(1)
    actor = _owner(guest, address, host)
    original, current, is_warm = host.accounts.slot_state(actor, address, slot)
    guest.put(original, 0)
    guest.put(current, 1)
    guest.numbers[0] = is_warm
    guest.numbers[1] = 0 if original or actor is None else host.accounts.absent_bits(actor, slot)


def _transient(guest: FastInstance, host: TreeHost) -> None:
    actor = _owner(guest, guest.address(0), host)
    guest.put(0 if actor is None else host.accounts.load_transient(actor, guest.word(1)))


def _account_code(guest: FastInstance, host: TreeHost) -> None:
    guest.code = host.accounts.code(_owner(guest, guest.address(0), host))


def _take(guest: FastInstance, _: TreeHost) -> None:
    guest.write(guest.numbers[0], guest.code)


def _precompile(guest: FastInstance, host: TreeHost) -> None:
    offset, size, limit = guest.numbers[0], guest.numbers[1], guest.numbers[2]
    result = host.run_precompile(guest.address(0), guest.read(offset, size), limit)
    if result is None:
        guest.numbers[0] = 0
        return
    guest.code, used = result
    guest.numbers[0], guest.numbers[1], guest.numbers[2] = 1, used, len(guest.code)


TREE_HOST_CALLS: Final = cast(
    tuple[Callable[[FastInstance, Host], None], ...],
    (_tick, _account, _slot, _transient, _account_code, _take, _precompile),
)
"""Host calls of trees by number, following those of `host_calls`."""
TICK: Final = TREE_HOST_CALLS.index(cast(Any, _tick))
ACCOUNT_CODE: Final = TREE_HOST_CALLS.index(cast(Any, _account_code))
TAKE: Final = TREE_HOST_CALLS.index(cast(Any, _take))


_NUMBER: Final = Struct("<Q")
_SIGN: Final = 1 << 63
"""Sign bit of a number in two's complement: `(number ^ _SIGN) - _SIGN` is its value."""
_ADDRESS: Final = Struct("<20s12x")
_ACCOUNT: Final = Struct("<20s12xQQ32sQ")
_SLOT: Final = Struct("<20s12x32s32s")
_LOG: Final = Struct("<20s12xQQ")
_TOPIC: Final = 32
_SYSTEM: Final = SYSTEM_ADDRESS[::-1]
_stamped: Final = partial(tuple.__new__, StampedEvent)
"""Create an event from its two parts, as `entry_of_log` creates its entries."""
_SEEN: Final = ChangeFlag.WARM | ChangeFlag.TOUCHED


class Changes:
    """The changes of one tree."""

    def __init__(self, data: bytes, host: TreeHost) -> None:
        self._data = data
        self._at = 0
        self._host = host
        self._accounts = host.accounts
        self._actors: dict[bytes, ActorID] = {host.address[::-1]: host.actor}
        """Actors by address as the guest writes it: little-endian."""

    def write(self) -> None:
        self._accounts.add_refund((self._number() ^ _SIGN) - _SIGN)
        self._create_accounts()
        for _ in range(self._number()):
            self._write_account()
        self._write_slots(self._accounts.store_all)
        self._write_slots(self._accounts.store_all_transient)
        self._host.emit(self._events())

    def write_refund_and_logs(self) -> None:
        """Write only the refund and the logs, for a host that keeps no other changes."""
        self._accounts.add_refund((self._number() ^ _SIGN) - _SIGN)
        self._host.emit(self._events_only())

    def report_logs(self) -> None:
        """Report only the refund and the logs of a frame that has failed. The caller rolls back what it has created."""
        self._accounts.add_refund((self._number() ^ _SIGN) - _SIGN)
        for event in self._events_only():
            self._host.report_log(event)

    def _events_only(self) -> list[StampedEvent]:
        """Return the logs as events, without writing accounts and slots.

        A contract that the frame created may have emitted some of them, so the accounts are created first, with the
        actor IDs that frame-by-frame execution would assign.
        """
        self._create_accounts()
        for _ in range(self._number()):
            self._at += _ACCOUNT.size + _ACCOUNT.unpack_from(self._data, self._at)[-1]
        self._rows(_SLOT)
        self._rows(_SLOT)
        return self._events()

    def _create_accounts(self) -> None:
        for (raw,) in self._rows(_ADDRESS):
            self._actors[raw] = self._accounts.create_account(EthAddress(raw[::-1]))

    def _write_slots(self, store: Callable[[ActorID, Iterable[tuple[bytes, int]]], None]) -> None:
        by_account: dict[bytes, list[tuple[bytes, int]]] = {}
        for raw, slot, word in self._rows(_SLOT):
            words = by_account.get(raw)
            if words is None:
                words = by_account[raw] = []
            words.append((slot, int.from_bytes(word, "little")))
        for raw, words in by_account.items():
            # an access list may name a slot of a contract whose creation was rolled back: warm, without an actor
            actor = self._actors.get(raw) or self._accounts.find(EthAddress(raw[::-1]))
            if actor is not None:
                store(actor, words)

    def _write_account(self) -> None:
        accounts, start = self._accounts, self._at + _ACCOUNT.size
        raw, bits, nonce, balance, size = _ACCOUNT.unpack_from(self._data, self._at)
        self._at = start + size
        address = EthAddress(raw[::-1])
        if bits & ChangeFlag.WARM:
            accounts.warm(address)
        if bits & ChangeFlag.TOUCHED:
            accounts.touch(address)
        if not bits & ~_SEEN:
            return
        actor = self._actor(raw)
        if bits & ChangeFlag.CREATED:
            accounts.create(actor)
        if bits & ChangeFlag.COUNTED:
            accounts.set_nonce(actor, nonce)
        if bits & ChangeFlag.PAID:
            accounts.add_balance(actor, int.from_bytes(balance, "little") - accounts.balance(actor))
        if bits & ChangeFlag.CODE:
            accounts.set_code(actor, self._data[start : self._at])
        if bits & ChangeFlag.DESTROYED:
            accounts.destroy(actor)

    def _events(self) -> list[StampedEvent]:
        """Return the logs as events. Repeated topics at the same position, which are common, share one entry."""
        data, at, events = self._data, self._at + _NUMBER.size, []
        count_of_logs = self._number()
        known: list[dict[bytes, EventEntry]] = [{} for _ in TOPIC_KEYS] if count_of_logs else []
        for _ in range(count_of_logs):
            raw, count, size = _LOG.unpack_from(data, at)
            at += _LOG.size
            entries = []
            for index in range(count):
                topic = data[at : at + _TOPIC]
                at += _TOPIC
                entry = known[index].get(topic)
                if entry is None:
                    entry = known[index][topic] = entry_of_log((INDEXED_FLAGS, TOPIC_KEYS[index], RAW, topic))
                entries.append(entry)
            if size:
                entries.append(entry_of_log((INDEXED_FLAGS, DATA_KEY, RAW, data[at : at + size])))
                at += size
            # The inverse of `bridge.ethereum.block.emitter_address`.
            emitter = SYSTEM_ACTOR if raw == _SYSTEM else self._actors.get(raw) or self._actor(raw)
            events.append(_stamped((emitter, tuple(entries))))
        return events

    def _actor(self, raw: bytes) -> ActorID:
        actor = self._actors.get(raw)
        if actor is None:
            actor = self._actors[raw] = self._accounts.existing(EthAddress(raw[::-1]))
        return actor

    def _rows(self, row: Struct) -> Iterator[tuple[bytes, ...]]:
        """Iterate over the rows of a table, which begins with their number."""
        count = self._number()
        if not count:
            return iter(())
        start = self._at
        self._at = end = start + row.size * count
        return row.iter_unpack(self._data[start:end])

    def _number(self) -> int:
        number: int = _NUMBER.unpack_from(self._data, self._at)[0]
        self._at += _NUMBER.size
        return number
