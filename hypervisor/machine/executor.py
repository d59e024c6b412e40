"""Application of one message: preflight checks, gas prepayment, the call, and settlement of gas costs.

A message that fails a preflight check changes nothing and costs the miner, not the sender. Source: ref-fvm
fvm/src/executor/default.rs.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hypervisor.errors import ActorFatal, Fatal, MessageError, OutOfGas, SyscallError
from hypervisor.exit_codes import ExitCode, exit_name, refusal_exit
from hypervisor.gas import MILLIGAS_PER_GAS, GasOutputs, GasTracker, gas_outputs
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call
from hypervisor.machine.call_manager import FILECOIN_CALLS, CallManager, CallRules, MessageOrigin
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import is_eth_namespace
from hypervisor.messages.events import EventBlocks, StampedEvent, events_tree
from hypervisor.messages.message import Message, Receipt
from hypervisor.state.state_tree import ActorState
from hypervisor.text import bytes_text, one_line
from hypervisor.tracing import MessageEnded, MessageStarted
from hypervisor.types import BURNT_FUNDS_ACTOR, METHOD_SEND, REWARD_ACTOR, ActorID, Gas, TokenAmount
from store.cid import CBOR, RAW, Cid

_MAX_I64 = (1 << 63) - 1
_LAST_NONCE = (1 << 64) - 1
"""Nonce after which no message is valid, since the next one would exceed 64 bits."""


class BlockGas(NamedTuple):
    """Gas of a transaction that counts for its block: of execution and of new state (EIP-8037)."""

    execution: int
    state: int


@dataclass(slots=True, unsafe_hash=True)
class ApplyResult:
    """Result of a message: the receipt, the gas costs, the events and descriptions of a failure.

    `message` comes from the first call, `reason` describes the original failure if that explains it
    (`hypervisor.kernel.call`). `fatal` is set if this machine could not continue, such as for missing state; the
    receipt then has exit code 10 and uses the whole gas limit, as on the network, and the error has the context.
    `block_gas` is the gas that counts for the block, or None if the receipt's gas does. `return_codec` is the IPLD
    codec of the return value, or None without one. `event_blocks` are the blocks of the events' AMT, whose root the
    receipt has. `max_gas_used` is the gas used before refunds, or None if the receipt's gas has none.
    """

    receipt: Final[Receipt]
    gas: Final[GasOutputs]
    events: Final[tuple[StampedEvent, ...]] = ()
    message: Final[str] = ""
    reason: Final[str] = ""
    fatal: Final[Fatal | None] = None
    block_gas: Final[BlockGas | None] = None
    return_codec: Final[int | None] = None
    event_blocks: Final[EventBlocks] = ()
    max_gas_used: Final[Gas | None] = None

    def __repr__(self) -> str:
        end = f"exit {exit_name(self.exit_code)}"
        events = f"{len(self.events)} events" if self.events else ""
        failure = "fatal" if self.fatal is not None else ""
        returned = f"return {bytes_text(self.return_data)}"
        return one_line("ApplyResult", end, failure, f"gas {self.gas_used:,}", returned, events, self.message)

    @property
    def exit_code(self) -> int:
        """Exit code of the receipt."""
        return self.receipt.exit_code

    @property
    def return_data(self) -> bytes:
        """Return value of the receipt."""
        return self.receipt.return_data

    @property
    def gas_used(self) -> Gas:
        """Gas used according to the receipt."""
        return self.receipt.gas_used

    def receipt_with_message(self, message: Cid) -> Receipt:
        """Return the receipt with the codec of the return value and the CID of the message on chain (FIP-0107)."""
        return replace(self.receipt, return_codec=self.return_codec, message=message)


class _PreflightFailure(Exception):
    """Raised when a preflight check fails."""

    def __init__(self, code: ExitCode, message: str, penalty: int) -> None:
        super().__init__(message)
        self.code = code
        self.penalty = penalty


class Executor:
    """Applies messages to a machine's state tree."""

    def __init__(self, machine: MachineState, call_rules: CallRules = FILECOIN_CALLS) -> None:
        self._machine = machine
        self._call_rules = call_rules

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply a message that takes `raw_length` bytes on chain.

        Implicit messages (cron, rewards, external reads) skip the checks of nonce, balance and sender, and pay nothing.
        The message must satisfy `Message.check`. Raises MessageError for an invalid gas limit or length; a store error
        leaves the state unchanged.
        """
        if raw_length < 0:
            raise MessageError(f"the message length of {raw_length} bytes is negative")
        if not 0 < message.gas_limit <= _MAX_I64:
            raise MessageError(f"gas limit {message.gas_limit} is not between 1 and 2^63 - 1")
        tracer = self._machine.tracer
        if tracer is not None:
            tracer.event(MessageStarted(message.from_, message.to, message.method, message.nonce, implicit))
        inclusion = 0 if implicit else self._machine.context.network.prices.message_inclusion(raw_length)
        with self._machine.state_tree.transaction():
            try:
                sender = self._implicit_sender(message) if implicit else self._preflight(message, inclusion)
                result = self._execute(message, sender, inclusion, implicit)
            except _PreflightFailure as refused:  # nothing has changed
                penalty = GasOutputs(miner_penalty=TokenAmount(refused.penalty))
                result = ApplyResult(Receipt(refused.code, b"", Gas(0)), penalty, message=str(refused))
        if tracer is not None:
            tracer.event(MessageEnded(result.exit_code, result.gas_used))
        return result

    # --- preflight checks -------------------------------------------------------------------------------------

    def _implicit_sender(self, message: Message) -> ActorID:
        sender = self._machine.state_tree.lookup_id(message.from_)
        if sender is None:
            raise _PreflightFailure(ExitCode.SYS_SENDER_INVALID, f"sender {message.from_} does not exist", 0)
        return sender

    def _preflight(self, message: Message, inclusion: int) -> ActorID:
        """Run the checks in the network's order, buy the gas and increment the nonce."""
        base_fee = self._machine.context.base_fee
        needed = -(-inclusion // MILLIGAS_PER_GAS)
        if needed > message.gas_limit:
            text = f"gas limit {message.gas_limit} is less than the inclusion cost of {needed} gas"
            raise _PreflightFailure(ExitCode.SYS_OUT_OF_GAS, text, base_fee * needed)
        penalty = base_fee * message.gas_limit
        tree, manifest = self._machine.state_tree, self._machine.manifest
        sender = tree.lookup_id(message.from_)
        state = None if sender is None else tree.get_actor(sender)
        if sender is None or state is None:
            raise _PreflightFailure(ExitCode.SYS_SENDER_INVALID, f"sender {message.from_} does not exist", penalty)
        code, name = state.code, manifest.name_of(state.code)
        if name not in ("account", "ethaccount"):
            delegated = state.delegated_address
            is_unused = name == "placeholder" and state.nonce == 0
            if not is_unused or delegated is None or not is_eth_namespace(delegated):
                text = f"{message.from_} is not an account that can send messages"
                raise _PreflightFailure(ExitCode.SYS_SENDER_INVALID, text, penalty)
            code = manifest.code("ethaccount")  # its first message turns a placeholder into an account (FIP-0055)
        if message.nonce != state.nonce:
            text = f"nonce {message.nonce} of {message.from_} does not match the expected nonce {state.nonce}"
            raise _PreflightFailure(ExitCode.SYS_SENDER_STATE_INVALID, text, penalty)
        if state.nonce == _LAST_NONCE:
            text = f"{message.from_} has no nonces left"
            raise _PreflightFailure(ExitCode.SYS_SENDER_STATE_INVALID, text, penalty)
        cost = message.gas_fee_cap * message.gas_limit
        if state.balance < cost:
            text = f"{message.from_} has {state.balance:d} attoFIL, but gas may cost {cost:d}"
            raise _PreflightFailure(ExitCode.SYS_SENDER_STATE_INVALID, text, penalty)
        left = TokenAmount(state.balance - cost)
        tree.set_actor(sender, ActorState(code, state.head, state.nonce + 1, left, state.delegated_address))
        return sender

    # --- the call ---------------------------------------------------------------------------------------------

    def _execute(self, message: Message, sender: ActorID, inclusion: int, implicit: bool) -> ApplyResult:
        context, tracer = self._machine.context, self._machine.tracer
        gas = GasTracker(min(message.gas_limit * MILLIGAS_PER_GAS, _MAX_I64), tracer=tracer)
        premium = max(0, min(message.gas_premium, message.gas_fee_cap - context.base_fee))
        receiver = self._machine.state_tree.lookup_id(message.to)
        origin = MessageOrigin(sender, message.from_, message.nonce, TokenAmount(premium))
        calls = CallManager(self._machine, self._call_rules, gas, origin, receiver)

        def failed(code: ExitCode, gas_used: Gas, text: str, fatal: Fatal | None = None) -> ApplyResult:
            settled = self._settle(message, sender, gas_used, implicit)
            return ApplyResult(Receipt(code, b"", gas_used), settled, message=text, fatal=fatal)

        try:
            if inclusion:
                gas.charge("OnChainMessage", inclusion, inclusion - context.network.prices.message_compute)
            # never DAG-CBOR, so links in the parameters are not reachable (a network rule)
            codec = RAW if message.method == METHOD_SEND else CBOR
            params = Block(codec, message.params) if message.params else None
            result = calls.send(Call(sender, message.to, message.method, params, message.value))
        except OutOfGas as error:
            return failed(ExitCode.SYS_OUT_OF_GAS, gas.gas_used(), str(error))
        except SyscallError as error:
            return failed(refusal_exit(error.number), gas.gas_used(), error.message)
        except ActorFatal as error:
            return failed(ExitCode.SYS_ASSERTION_FAILED, message.gas_limit, str(error))
        except Fatal as error:
            return failed(ExitCode.SYS_ASSERTION_FAILED, message.gas_limit, str(error), error)
        data, return_codec = (result.block.data, result.block.codec) if result.block else (b"", None)
        root, event_blocks = events_tree(calls.events) if calls.events else (None, ())
        receipt = Receipt(result.exit_code, data, gas.gas_used(), root)
        return ApplyResult(
            receipt,
            self._settle(message, sender, receipt.gas_used, implicit),
            tuple(calls.events),
            result.message,
            calls.backtrace.reason,
            return_codec=return_codec,
            event_blocks=event_blocks,
        )

    # --- settlement -------------------------------------------------------------------------------------------

    def _settle(self, message: Message, sender: ActorID, gas_used: Gas, implicit: bool) -> GasOutputs:
        """Burn, tip and refund the prepaid amount, and return the costs; implicit messages prepay nothing."""
        if implicit:
            return GasOutputs()
        context, tree = self._machine.context, self._machine.state_tree
        outputs = gas_outputs(gas_used, message.gas_limit, context.base_fee, message.gas_fee_cap, message.gas_premium)
        burnt = outputs.base_fee_burn + outputs.over_estimation_burn
        for actor, amount in ((BURNT_FUNDS_ACTOR, burnt), (REWARD_ACTOR, outputs.miner_tip), (sender, outputs.refund)):
            if amount and not tree.credit(actor, amount):
                raise Fatal(f"cannot credit {amount} attoFIL of gas costs: actor f0{actor} is missing")
        return outputs
