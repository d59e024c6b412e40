"""The lab `async`: messages that actors post for delivery in a later epoch, with a receipt.

Terms, methods, payments, entries, delivery rules and invariants: docs/labs/async.md. The outbox is an actor that stores
posted messages, and their funds, until delivery, after a block's reward and cron. It is implemented in Python; its
reads, writes and sends are kernel operations with their charges. Its state is `[next, first, queue]`: the number of the
next entry, that of the oldest, and an AMT of links to entries.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any, Final

from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi
from eth_abi.exceptions import DecodingError

from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.errors import ActorExit, Fatal, InvalidInput, SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.rules import Lab
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    METHOD_SEND,
    SYSTEM_ACTOR,
    ActorID,
    Gas,
    MethodNumber,
    TokenAmount,
    decode_bigint,
    encode_bigint,
)
from hypervisor_labs.lab_runtimes import (
    MAX_OVERHEAD,
    KernelBlocks,
    MethodsRuntime,
    check_params_size,
    named_code,
    put_cbor,
    read_calldata,
    read_fields,
)
from hypervisor_labs.rules import EpochEndBlocks
from localnet.rules.parts import BlockRules, NetworkRules
from store.blockstore import Blockstore, get_object
from store.cid import CBOR, RAW, Cid, cid_of
from store.codec import CodecError, decode_strict, encode, link, unlink
from store.trees.amt import Amt

OUTBOX: Final = ActorID(20)
RUNTIME: Final = "outbox"
CODE_BLOCK: Final = b"The outbox of the lab async, version 1. It is executed by the runtime `outbox`, not as a module."
CODE: Final = cid_of(CODE_BLOCK, RAW)
"""Code CID: that of `CODE_BLOCK`, because every link of a state must lead to a block."""

POST, NEXT, SETTLE = MethodNumber(2), MethodNumber(3), MethodNumber(4)
POST_SELECTOR: Final = bytes.fromhex("b06ad502")
"""Selector of `post(bytes,uint64,bytes,uint256,uint64,uint64,uint64,uint64)`."""
_POST_TYPES: Final = ("bytes", "uint64", "bytes", "uint256", "uint64", "uint64", "uint64", "uint64")

EPOCH_GAS: Final = Gas(2_500_000_000)
"""Gas limit of one epoch's deliveries, a quarter of the block gas limit. It is not part of that limit."""
HANDLING_GAS: Final = Gas(30_000_000)
"""Gas that an entry pays for its delivery and settlement, measured with millions of queued entries."""
HANDLING_GAS_PER_BYTE: Final = 1_500
"""Additional gas per byte of its parameters."""
MAX_PARAMS: Final = 32 << 10
MAX_RETURN: Final = 1 << 10
"""Maximum size in bytes of a return value in a receipt; a longer one is omitted."""
MAX_WAIT: Final = 30 * 2880
"""Maximum number of epochs between the posting of a message and its expiry."""
RECEIPT_WAIT: Final = 2880
"""Number of epochs after which an undelivered receipt expires."""
EXPIRED: Final = 64
"""Exit code in the receipt of an expired message; no actor and no system error uses it."""
_RECEIPT_FIELDS: Final = 64
"""Maximum size in bytes of a receipt's parameters without the return value."""
MESSAGE, RECEIPT = 0, 1


def handling_gas(size: int) -> Gas:
    """Return the gas for handling an entry with parameters of `size` bytes."""
    return Gas(HANDLING_GAS + HANDLING_GAS_PER_BYTE * size)


RECEIPT_HANDLING: Final = handling_gas(MAX_RETURN + _RECEIPT_FIELDS)
MAX_GAS: Final = Gas(EPOCH_GAS - handling_gas(MAX_PARAMS))
"""Maximum gas of a message, so that each entry fits into one epoch."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An entry of the outbox: a posted message, or the receipt of one for its poster.

    `value` is in attoFIL, `price` in attoFIL per gas at the time of posting, `posted` and `expiry` are epochs. `about`
    is the number of the message that a receipt belongs to; 0 for messages.
    """

    kind: int
    poster: ActorID
    to: bytes
    method: int
    params: bytes
    value: int
    gas: int
    price: int
    posted: int
    expiry: int
    receipt_method: int
    receipt_gas: int
    about: int = 0

    @property
    def handling(self) -> Gas:
        """Return the gas for delivery and settlement."""
        return handling_gas(len(self.params)) if self.kind == MESSAGE else RECEIPT_HANDLING

    @property
    def escrow(self) -> int:
        """Return the amount that the outbox holds for the entry, in attoFIL."""
        own = self.value + self.price * (self.gas + self.handling)
        return own + (self.price * (self.receipt_gas + RECEIPT_HANDLING) if self.receipt_method else 0)

    def encode(self) -> bytes:
        """Encode the entry as a DAG-CBOR list of its fields, amounts as byte strings."""
        fields = list(astuple(self))
        fields[5], fields[7] = encode_bigint(self.value), encode_bigint(self.price)
        return encode(fields)

    @classmethod
    def of(cls, fields: list[Any]) -> OutboxEntry:
        """Decode an entry; the inverse of `encode`."""
        changed = list(fields)
        changed[5], changed[7] = decode_bigint(fields[5]), decode_bigint(fields[7])
        return cls(*changed)


def first_head(store: Blockstore) -> Cid:
    """Write the state of an empty outbox and return its CID."""
    return put_cbor(store, encode([1, 1, link(Amt(store).flush())]))


def entries(store: Blockstore, head: Cid) -> list[tuple[int, OutboxEntry]]:
    """Return the entries of an outbox state with their numbers, oldest first."""
    _, first, root = get_object(store, head)
    return [
        (at, OutboxEntry.of(get_object(store, unlink(value)))) for at, value in Amt(store, unlink(root)).items(first)
    ]


def post_params(
    to: Address,
    method: int,
    params: bytes = b"",
    *,
    value: int = 0,
    gas: int,
    expiry: int,
    receipt_method: int = 0,
    receipt_gas: int = 0,
) -> bytes:
    """Encode the parameters of the method Post. `value` is in attoFIL, `expiry` is an epoch."""
    return encode([to.to_bytes(), method, params, encode_bigint(value), gas, expiry, receipt_method, receipt_gas])


class OutboxRuntime(MethodsRuntime):
    """Runs the outbox."""

    what = "the outbox"
    charge = "OnOutboxMethod"

    def run(self, kernel: Kernel, params: Block | None) -> tuple[int, bytes] | None:
        return _Invocation(kernel).run(params)


class _Invocation:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._context = kernel.context
        self._blocks = KernelBlocks(kernel)
        self._epoch = kernel.machine.context.epoch
        self._price = kernel.machine.context.base_fee

    def run(self, params: Block | None) -> tuple[int, bytes] | None:
        """Run the method and return its codec and bytes."""
        method = self._context.method
        if method in (INVOKE_EVM, POST):
            check_params_size(params, MAX_PARAMS + MAX_OVERHEAD, "Post")
        if method == INVOKE_EVM:
            return self._post_by_abi(params)
        if method == POST:
            return CBOR, encode(self.post(*self._post_fields(params)))
        if method not in (NEXT, SETTLE):
            raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=f"the outbox has no method {method}")
        if self._context.caller != SYSTEM_ACTOR:
            raise ActorExit(ExitCode.USR_FORBIDDEN, message=f"method {method} is reserved for the system")
        fields = decode_strict(params.data if params else b"")
        if method == NEXT:
            return CBOR, encode(self.next(*fields))
        self.settle(*fields)
        return None

    def _post_fields(self, params: Block | None) -> list[Any]:
        try:
            to, method, data, value, *numbers = read_fields(params, len(_POST_TYPES))
            if not (isinstance(to, bytes) and isinstance(data, bytes)):
                raise TypeError("the receiver or the parameters are not bytes")
            if not all(isinstance(number, int) for number in (method, *numbers)):
                raise TypeError("expected a number, found bytes")
            return [to, method, data, decode_bigint(value), *numbers]
        except (CodecError, InvalidInput, TypeError) as error:
            text = f"the parameters of Post cannot be read: {error}"
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=text) from None

    def _post_by_abi(self, params: Block | None) -> tuple[int, bytes]:
        try:
            calldata = read_calldata(params)
            if calldata[:4] != POST_SELECTOR:
                text = f"the outbox has no function with the selector 0x{calldata[:4].hex()}"
                raise ActorExit(ExitCode.USR_UNHANDLED_MESSAGE, message=text)
            to, method, data, *numbers = decode_abi(_POST_TYPES, calldata[4:])
        except (ParamsError, DecodingError, OverflowError, ValueError) as error:
            raise ActorExit(
                ExitCode.USR_SERIALIZATION, message=f"the calldata of post cannot be read: {error}"
            ) from None
        if method == INVOKE_EVM:
            data = invoke_params(data)
        number = self.post(to, method, data, *numbers)
        return RAW, encode_abi(("uint64",), (number,))

    def post(
        self,
        to: bytes,
        method: int,
        params: bytes,
        value: int,
        gas: int,
        expiry: int,
        receipt_method: int,
        receipt_gas: int,
    ) -> int:
        """Store a message of the caller and its funds, refund the excess, and return the number of the entry."""
        # check
        refused = self._refusal(to, params, value, gas, expiry, receipt_method, receipt_gas)
        if refused:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=refused)
        caller, epoch = self._context.caller, self._epoch
        entry = OutboxEntry(
            MESSAGE, caller, to, method, params, value, gas, self._price, epoch, expiry, receipt_method, receipt_gas
        )
        paid = self._context.value
        if paid < entry.escrow:
            text = f"the message costs {entry.escrow} attoFIL with its value, but only {paid} were sent with it"
            raise ActorExit(ExitCode.USR_INSUFFICIENT_FUNDS, message=text)
        # do
        number, first, queue = self._load()
        self._append(number, first, queue, entry)
        if paid > entry.escrow:
            self._pay(caller, paid - entry.escrow)
        # return
        return number

    def _refusal(
        self, to: bytes, params: bytes, value: int, gas: int, expiry: int, receipt_method: int, receipt_gas: int
    ) -> str:
        try:
            Address.from_bytes(to)
        except InvalidInput as error:
            return f"the receiver's address: {error}"
        if len(params) > MAX_PARAMS:
            return f"the parameters have {len(params)} bytes, at most {MAX_PARAMS} are allowed"
        if not 0 <= value < 1 << 127:
            return f"the value is {value} attoFIL: expected 0 to 2^127 - 1"
        if not 0 < gas <= MAX_GAS:
            return f"the gas budget is {gas}: expected 1 to {MAX_GAS}"
        if not self._epoch < expiry <= self._epoch + MAX_WAIT:
            return f"the expiry is epoch {expiry}: expected {self._epoch + 1} to {self._epoch + MAX_WAIT}"
        if receipt_method and not 0 < receipt_gas <= MAX_GAS:
            return f"the gas budget of the receipt is {receipt_gas}: expected 1 to {MAX_GAS}"
        if receipt_gas and not receipt_method:
            return f"the receipt has {receipt_gas} gas but no method: set both or neither"
        return ""

    def next(self, gas_limit: int) -> list[Any] | None:
        """Return the next delivery for `gas_limit` gas, with its value paid out.

        A delivery is [number, poster, to, method, params, value, gas, handling gas]. For an expired entry, the list
        holds only the handling gas. None means that nothing can be delivered now.
        """
        number, first, queue = self._load()
        if first == number:
            return None
        entry = self._entry(queue, first)
        if entry.posted >= self._epoch or gas_limit < entry.handling:
            return None
        if self._epoch > entry.expiry:
            self._finish(number, first, queue, entry, EXPIRED, 0, None, expired=True)
            return [entry.handling]
        if entry.gas + entry.handling > gas_limit:
            return None
        if entry.kind == MESSAGE and not self._pay(entry.poster, entry.value):
            # The poster no longer exists and a message has no sender, so the payment is burnt.
            queue.delete(first)
            self._save(number, first + 1, queue)
            self._pay(BURNT_FUNDS_ACTOR, entry.escrow)
            return [entry.handling]
        sender = entry.poster if entry.kind == MESSAGE else OUTBOX
        value = encode_bigint(entry.value)
        return [first, sender, entry.to, entry.method, entry.params, value, entry.gas, entry.handling]

    def settle(self, exit_code: int, gas_used: int, returned: bytes | None) -> None:
        """Settle a message from `next`: burn the gas used, refund the rest and post the receipt."""
        number, first, queue = self._load()
        self._finish(number, first, queue, self._entry(queue, first), exit_code, gas_used, returned)

    def _finish(
        self,
        number: int,
        first: int,
        queue: Amt,
        entry: OutboxEntry,
        exit_code: int,
        gas_used: int,
        returned: bytes | None,
        *,
        expired: bool = False,
    ) -> None:
        queue.delete(first)
        if entry.kind == MESSAGE and entry.receipt_method:
            receipt = OutboxEntry(
                RECEIPT, entry.poster, Address.id(entry.poster).to_bytes(), entry.receipt_method,
                encode([first, exit_code, gas_used, returned]), 0, entry.receipt_gas, entry.price,
                self._epoch, self._epoch + RECEIPT_WAIT, 0, 0, first,
            )  # fmt: skip
            self._append(number, first + 1, queue, receipt)
        else:
            self._save(number, first + 1, queue)
        back = entry.price * (entry.gas - gas_used) + (entry.value if expired else 0)
        burnt = entry.price * (gas_used + entry.handling)
        if not self._pay(entry.poster, back):
            burnt += back
        self._pay(BURNT_FUNDS_ACTOR, burnt)

    def _load(self) -> tuple[int, int, Amt]:
        number, first, root = get_object(self._blocks, self._kernel.root())
        return number, first, Amt(self._blocks, unlink(root))

    def _entry(self, queue: Amt, number: int) -> OutboxEntry:
        return OutboxEntry.of(get_object(self._blocks, unlink(queue.get(number))))

    def _append(self, number: int, first: int, queue: Amt, entry: OutboxEntry) -> None:
        queue.set(number, link(put_cbor(self._blocks, entry.encode())))
        self._save(number + 1, first, queue)

    def _save(self, number: int, first: int, queue: Amt) -> None:
        self._kernel.set_root(put_cbor(self._blocks, encode([number, first, link(queue.flush())])))

    def _pay(self, actor: ActorID, amount: int) -> bool:
        """Send funds; return True if they arrived."""
        if amount == 0:
            return self._kernel.calls.get_actor(actor) is not None
        try:
            sent = self._kernel.send(Address.id(actor), METHOD_SEND, value=TokenAmount(amount))
        except SyscallError:
            return False
        return sent.exit_code == ExitCode.OK


LAB: Final = Lab(
    what="messages that are posted now, delivered in a later epoch, and answered by a receipt",
    network=f"{__name__}:with_outbox",
    genesis=f"{__name__}:install_outbox",
    machine=f"{__name__}:register_outbox",
)
_KNOWN: Final = named_code(CODE, "outbox")
_SYSTEM_GAS: Final = Gas(1 << 40)
"""Gas limit of the outbox's own work, which posters have paid for; no posted message uses it."""
_NONCE: Final = 1 << 63
"""First nonce of delivered messages, plus the message's number; no account's message reaches it."""


def with_outbox(rules: NetworkRules) -> NetworkRules:
    """Return rules whose blocks deliver the messages in the outbox."""
    return replace(rules, blocks=OutboxBlocks(rules.blocks), code=(*rules.code, _KNOWN))


def install_outbox(machine: MachineState) -> None:
    """Add an empty outbox to a state."""
    machine.store.put(CODE, CODE_BLOCK)
    machine.state_tree.set_actor(OUTBOX, ActorState(CODE, first_head(machine.store)))


def register_outbox(machine: MachineState) -> None:
    """Register the outbox's runtime with a machine."""
    machine.registry.override(CODE, RUNTIME, OutboxRuntime)


class OutboxBlocks(EpochEndBlocks):
    """Block rules that add deliveries at the end of each epoch to those of another set."""

    def __init__(self, inner: BlockRules) -> None:
        super().__init__(inner, deliver)

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None:
        """Install the outbox if the network was created before labs could change the genesis."""
        if machine.state_tree.get_actor(OUTBOX) is None:
            install_outbox(machine)
        self._inner.start_block(machine, parent_hash)


def deliver(machine: Hypervisor, gas_budget: int = EPOCH_GAS) -> None:
    """Deliver due messages, oldest first, until one exceeds the epoch's remaining gas.

    A delivery with a fatal error counts as failed, with exit code 10 and its whole budget used. Otherwise each later
    epoch would stop at the same entry. Raises Fatal if the outbox itself fails.
    """
    while _waits(machine):
        due = decode_strict(_system(machine, NEXT, [gas_budget]))
        if due is None:
            return
        if len(due) == 1:  # expired, or its poster no longer exists
            gas_budget -= due[0]
            continue
        number, sender, to, method, params, value, gas, handling = due
        message = Message(
            Address.from_bytes(to),
            Address.id(sender),
            nonce=_NONCE + number,
            value=TokenAmount(decode_bigint(value)),
            method=MethodNumber(method),
            params=params,
            gas_limit=Gas(gas),
        )
        result = machine.apply_implicit(message)
        if result.fatal is not None and type(result.fatal) is not Fatal:  # the error is specific to this machine
            raise result.fatal
        returned = result.return_data if len(result.return_data) <= MAX_RETURN else None
        _system(machine, SETTLE, [result.exit_code, result.gas_used, returned])
        gas_budget -= gas + handling


def _waits(machine: Hypervisor) -> bool:
    """Return True if the outbox has an entry, without executing a message."""
    outbox = machine.state_tree.get_actor(OUTBOX)
    if outbox is None:
        return False
    number, first, _ = get_object(machine.store, outbox.head)
    return bool(first < number)


def _system(machine: Hypervisor, method: MethodNumber, params: list[Any]) -> bytes:
    message = Message(
        Address.id(OUTBOX), Address.id(SYSTEM_ACTOR), nonce=machine.context.epoch, method=method,
        params=encode(params), gas_limit=_SYSTEM_GAS,
    )  # fmt: skip
    result = machine.apply_implicit(message)
    if result.exit_code != ExitCode.OK:
        raise result.fatal or Fatal(f"the outbox exited with {result.exit_code} in method {method}: {result.message}")
    return result.return_data
