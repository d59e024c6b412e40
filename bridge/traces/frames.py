"""The calls of a transaction as Ethereum knows them: a view of its call tree.

A call tree contains more calls than Ethereum has: a creation is a call of the address manager that calls the init actor
that calls a constructor; a delegate call first requests the code and then calls the contract itself; code lookups are
calls too. Each is mapped to one frame or none. A native actor's frame has the calldata of handle_filecoin_method as
input, and the output of the call_actor precompile. Under Ethereum's rules, a creation is a single call of the
constructor with the init code. Source: the trace_ methods of Filecoin nodes (lotus node/impl/eth/trace.go).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from bridge.ethereum.addresses import EthAddress, create_address, from_delegated, masked_id
from bridge.ethereum.block import emitter_address
from bridge.evm_steps import CodeBorrowed, CodeDeployed, CreationCollision, FundsMissing, SelfDestructed
from bridge.filecoin.cbor import CborReader, ParamsError, read_canonical_byte_string
from bridge.filecoin.messages import APPLY_AND_CALL, decode_outcome
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import (
    CREATE2_METHOD,
    CREATE_EXTERNAL_METHOD,
    CREATE_METHOD,
    NO_CODEC,
    CreateReturn,
    DelegateCallParams,
    calldata_of,
    encode_call_return,
    encode_method_calldata,
)
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.tracing import CallEnded, CallNode, CallTrees, EventEmitted, walk
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, METHOD_CONSTRUCTOR, METHOD_SEND, ActorID
from store.cid import CBOR, DAG_CBOR, RAW, Cid

UNKNOWN_CODE: Final = b"\xfe"
"""Placeholder for code, which no contract can have (EIP-3541): the stream does not contain created code."""

SELFDESTRUCT: Final = "SELFDESTRUCT"

_EXEC, _EXEC4 = 2, 3
_RESURRECT, _GET_BYTECODE, _INVOKE_DELEGATE = 2, 3, 6
_FIRST_PUBLIC_METHOD: Final = 1024
_NEVER_BEGAN: Final = (ExitCode.SYS_INSUFFICIENT_FUNDS, ExitCode.SYS_ASSERTION_FAILED)
_UNFINISHED: Final = CallEnded(ExitCode.SYS_ASSERTION_FAILED, b"", 0, 0, "FATAL")


class Directory(Protocol):
    """Information on actors that the stream does not contain."""

    def lookup(self, address: Address) -> ActorID | None:
        """Return the actor ID of an address, or None."""

    def delegated_address(self, actor: ActorID) -> Address | None:
        """Return an actor's f4 address, or None."""

    def is_contract(self, code: Cid) -> bool:
        """Return True if the code's actors are called as contracts."""

    def is_precompile(self, address: EthAddress) -> bool:
        """Return True for the address of one of Ethereum's precompiles, whose calls have no actor."""

    def nonce(self, actor: ActorID) -> int:
        """Return the nonce of an actor's next creation, after the message."""


@dataclass(frozen=True, slots=True)
class FrameLog:
    """A log; `position` is the number of subframes called before it."""

    address: EthAddress
    log: Log
    position: int


@dataclass(slots=True)
class EthereumFrame:
    """A call. `kind` is an opcode's name; `to` is None if a creation failed. Gas is in gas, value in attoFIL.

    `exit_code` is 0 on success. `native` is true if the callee has no exit codes of contracts: it is neither a contract
    nor the address manager. `began` is false for a message that failed before it reached an actor or created one.
    `position` has the frame's index among its caller's subframes, after those of its callers; it is empty for the
    outermost frame. `subframes` is the number of calls that the frame made. `code` is what a creation has deployed, or
    None if the trace does not contain it. `call` is the number of the call that ran the frame's code, or -1;
    `message` is the machine's message of a failure. `own_gas` is the gas used without that of the calls below.
    """

    kind: str
    sender: EthAddress
    to: EthAddress | None
    value: int
    gas: int
    gas_used: int
    input: bytes
    output: bytes
    exit_code: int
    native: bool = False
    began: bool = True
    position: tuple[int, ...] = ()
    subframes: int = 0
    logs: list[FrameLog] = field(default_factory=list)
    code: bytes | None = None
    call: int = -1
    message: str = ""
    own_gas: int = 0

    @property
    def creates(self) -> bool:
        return self.kind in ("CREATE", "CREATE2")


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """Further frames under Ethereum's rules.

    `refused` are calls and creations that were not made for want of funds or because of a contract at the new address,
    `precompiles` are calls of Ethereum's precompiles.
    """

    refused: bool = False
    precompiles: bool = False


def ethereum_frames(
    trees: CallTrees, directory: Directory, options: FrameOptions = FrameOptions()
) -> list[EthereumFrame]:
    """Return the frames of the first recorded message, callers before callees; empty if it made no call."""
    if not trees.roots:
        return []
    node = trees.roots[0]
    creations = Counter(call.start.from_ for call in walk(trees.roots) if call.start.method == METHOD_CONSTRUCTOR)
    frames = _FrameBuilder(directory, creations, options).frames(node)
    top = frames[0]
    if len(trees.ended) == len(trees.roots):
        top.exit_code = trees.ended[0].exit_code  # only the executor knows that of a call that could not be made
    if node.start.method == APPLY_AND_CALL and top.exit_code == ExitCode.OK:
        _end_as_called(frames, node)
    return frames


def _end_as_called(frames: Sequence[EthereumFrame], node: CallNode) -> None:
    """Set the result of a message to ApplyAndCall to that of its call; the message itself exits with 0."""
    try:
        succeeded, output = decode_outcome((node.end or _UNFINISHED).return_data)
    except ParamsError:
        return  # another actor's method of this number
    top, *inner = frames
    top.output = output
    if not succeeded:
        called = next((frame for frame in reversed(inner) if len(frame.position) == 1), None)
        top.exit_code = (called and called.exit_code) or ExitCode.EVM_CONTRACT_REVERTED  # the call may not be made
        top.native = called is not None and called.native


@dataclass(slots=True)
class _Caller:
    """The caller: its address, whether it is a contract, and whose code it requested last."""

    address: EthAddress
    is_contract: bool = False
    last_code: EthAddress | None = None


class _FrameBuilder:
    """Builds the frame of a top-level call and of all calls below it."""

    def __init__(self, directory: Directory, creations: Counter[ActorID], options: FrameOptions) -> None:
        """Create a builder. `creations` is the number of constructor calls by creator."""
        self._directory, self._options = directory, options
        self._names: dict[ActorID, EthAddress] = {}
        self._by_nonce: dict[ActorID, Set[EthAddress]] = {}
        self._creations = creations

    def frames(self, top: CallNode) -> list[EthereumFrame]:
        """Return the frames of a call and of the calls below it, callers before callees.

        Not recursive: calls are up to 1,024 deep.
        """
        found, todo = list[EthereumFrame](), [self._top(top)]
        while todo:
            frame, inside = todo.pop()
            found.append(frame)
            inner = [] if inside is None else self._enter(frame, inside)
            frame.subframes = len(inner)
            frame.call = -1 if inside is None else inside.number
            for index, (below, _) in enumerate(inner):
                below.position = *frame.position, index
            todo += reversed(inner)
        return found

    # --- the tree -----------------------------------------------------------------------------------------------

    def _top(self, node: CallNode) -> tuple[EthereumFrame, CallNode | None]:
        caller = _Caller(self._name(node.start.from_))
        found = self._frame(node, caller)
        if found is not None:
            return found
        frame = (self._contract_call if node.start.method == INVOKE_EVM else self._native)(node, caller)
        frame.began = not (node.found or (node.end or _UNFINISHED).error)
        return frame, node

    def _enter(self, frame: EthereumFrame, node: CallNode) -> list[tuple[EthereumFrame, CallNode | None]]:
        """Return the subframes of a frame, each with the call that has its items; add the frame's logs."""
        actor = self._actor(node)
        caller = _Caller(masked_id(0) if actor is None else self._name(actor), self._is_contract(node))
        inner: list[tuple[EthereumFrame, CallNode | None]] = []
        for item in node.flat_items():
            match item:
                case CallNode():
                    found = self._frame(item, caller) if _reaches_ethereum(item) else None
                    if found is not None:
                        inner.append(found)
                case SelfDestructed():
                    inner.append((_self_destruction(item), None))
                case FundsMissing() | CreationCollision() if self._options.refused and actor is not None:
                    inner.append((self._refused(item, actor, caller.address), None))
                case EventEmitted():
                    log = entries_to_log([EventEntry(*entry) for entry in item.entries])
                    if log is not None:
                        frame.logs.append(FrameLog(emitter_address(item.emitter, self._name), log, len(inner)))
                case _:
                    pass
        return inner

    def _frame(self, node: CallNode, caller: _Caller) -> tuple[EthereumFrame, CallNode] | None:
        """Return a call's frame and the call with its subcalls; None if Ethereum does not know the call."""
        start = node.start
        called = from_delegated(start.to) if start.method in (INVOKE_EVM, METHOD_SEND) else None
        if called is not None and self._directory.is_precompile(called):
            return (self._contract_call(node, caller), node) if self._options.precompiles else None
        is_done = called is not None and (node.end or _UNFINISHED).exit_code == ExitCode.OK
        if _is_lost(node) or (self._actor(node) is None and not is_done):
            return None
        if start.method == INVOKE_EVM:
            return self._contract_call(node, caller), node
        if start.to == Address.id(EAM_ACTOR) and start.method in (
            CREATE_METHOD,
            CREATE2_METHOD,
            CREATE_EXTERNAL_METHOD,
        ):
            return self._creation(node, caller)
        if start.to == Address.id(INIT_ACTOR) and start.method in (_EXEC, _EXEC4):
            return self._native_creation(node, caller)
        if start.method == METHOD_CONSTRUCTOR and start.params_codec == RAW:
            return self._ethereum_creation(node, caller), node
        if caller.is_contract and 0 < start.method < _FIRST_PUBLIC_METHOD:
            return self._private(node, caller)
        return self._native(node, caller), node

    # --- frames -------------------------------------------------------------------------------------------------

    def _contract_call(self, node: CallNode, caller: _Caller) -> EthereumFrame:
        end = node.end or _UNFINISHED
        try:
            data, output = _payload(node.start.params_codec, node.start.params), _payload_of(end)
        except ParamsError:
            return self._native(node, caller)
        return self._call(node, caller, data, output)

    def _native(self, node: CallNode, caller: _Caller) -> EthereumFrame:
        start, end = node.start, node.end or _UNFINISHED
        data = encode_method_calldata(start.method, start.params_codec, start.params)
        output = encode_call_return(end.exit_code, end.return_codec, end.return_data)
        return self._call(node, caller, data, output)

    def _call(self, node: CallNode, caller: _Caller, data: bytes, output: bytes) -> EthereumFrame:
        actor = self._actor(node)
        to = from_delegated(node.start.to) if actor is None else self._name(actor)
        kind = "STATICCALL" if node.start.read_only else "CALL"
        frame = _make_frame(kind, node, caller.address, to, data, output)
        frame.native = actor != EAM_ACTOR and not self._is_contract(node)
        return frame

    def _creation(self, node: CallNode, caller: _Caller) -> tuple[EthereumFrame, CallNode] | None:
        """Return the frame of a creation by the address manager, or None if it failed before its code ran."""
        constructor = self._constructor(node)
        if constructor is None or node.start.read_only:
            return None
        end = node.end or _UNFINISHED
        kind = "CREATE2" if node.start.method == CREATE2_METHOD else "CREATE"
        try:
            frame = _make_frame(kind, node, caller.address, None, _init_code(node), b"")
            if end.exit_code == ExitCode.OK:
                frame.to, frame.output = CreateReturn.decode(end.return_data).eth_address, UNKNOWN_CODE
                frame.code = _deployed_code(constructor)
            elif end.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
                frame.output = _payload_of(constructor.end or _UNFINISHED)
        except ParamsError:
            return self._native(node, caller), node
        self._learn_created(node, constructor)
        return frame, constructor

    def _ethereum_creation(self, node: CallNode, caller: _Caller) -> EthereumFrame:
        """Return the frame of a creation under Ethereum's rules, the constructor call; no address if it failed."""
        end, address = node.end or _UNFINISHED, from_delegated(node.start.to)
        kind = "CREATE" if address in self._created_by_nonce(node.start.from_, caller.address) else "CREATE2"
        frame = _make_frame(kind, node, caller.address, None, node.start.params, b"")
        if frame.exit_code == ExitCode.OK:
            frame.to, frame.output, frame.code = address, UNKNOWN_CODE, _deployed_code(node)
        else:
            with suppress(ParamsError):
                frame.output = _payload_of(end)
        return frame

    def _refused(self, event: FundsMissing | CreationCollision, actor: ActorID, sender: EthAddress) -> EthereumFrame:
        """Return the frame of a call that was not made; a collision costs the gas that the creation would have had."""
        is_collision = isinstance(event, CreationCollision)
        kind, to, exit_code = "CALL", event.address, ExitCode.SYS_INSUFFICIENT_FUNDS
        if event.creates:
            kind = "CREATE" if to in self._created_by_nonce(actor, sender) else "CREATE2"
        used, exit_code = (event.gas, ExitCode.USR_FORBIDDEN) if is_collision else (0, exit_code)
        receiver = None if event.creates else to
        return EthereumFrame(kind, sender, receiver, event.value, event.gas, used, event.data, b"", exit_code)

    def _created_by_nonce(self, creator: ActorID, address: EthAddress) -> Set[EthAddress]:
        """Return the possible addresses for a creator's CREATE in this message.

        The stream does not contain the opcode. The nonce is known after the message, which increments it for each
        creation that is not rolled back.
        """
        if creator not in self._by_nonce:
            window, after = self._creations[creator] + 1, self._directory.nonce(creator)
            nonces = range(max(0, after - window), after + window)
            self._by_nonce[creator] = {create_address(address, nonce) for nonce in nonces}
        return self._by_nonce[creator]

    def _native_creation(self, node: CallNode, caller: _Caller) -> tuple[EthereumFrame, CallNode] | None:
        """Return the frame of an actor's creation by the init actor, which has no init code."""
        constructor = next((call for call in node.calls if call.start.method == METHOD_CONSTRUCTOR), None)
        if constructor is None or node.start.read_only:
            return None
        frame = _make_frame("CREATE", node, caller.address, None, UNKNOWN_CODE, b"")
        frame.native = True
        actor = self._actor(constructor)
        if frame.exit_code == ExitCode.OK and actor is not None:
            frame.to, frame.output = self._name(actor), UNKNOWN_CODE
        return frame, constructor

    def _private(self, node: CallNode, caller: _Caller) -> tuple[EthereumFrame, CallNode] | None:
        """Return the frame of a contract's internal call of an actor; only delegate calls have one."""
        start, end = node.start, node.end or _UNFINISHED
        if start.method == _GET_BYTECODE:
            actor = self._actor(node)
            caller.last_code = self._name(actor) if actor is not None and end.exit_code == ExitCode.OK else None
        borrowed = next((item for item in reversed(node.items) if isinstance(item, CodeBorrowed)), None)
        code = caller.last_code if borrowed is None else borrowed.address
        if start.method != _INVOKE_DELEGATE or code is None:
            return None
        try:
            params, output = DelegateCallParams.decode(start.params), _payload_of(end)
        except ParamsError:
            return None
        kind = "DELEGATECALL" if borrowed is None else borrowed.opcode
        frame = _make_frame(kind, node, caller.address, code, params.calldata, output)
        frame.value = params.value
        return frame, node

    def _constructor(self, creation: CallNode) -> CallNode | None:
        """Return the call below the address manager's call that ran init code: a constructor or a resurrection.

        The method number of a resurrection is also that of the account actor's PubkeyAddress, which comes first in a
        creation by an f1 or f3 account.
        """
        for call in creation.calls:
            if call.start.to == Address.id(INIT_ACTOR):
                return next((inner for inner in call.calls if inner.start.method == METHOD_CONSTRUCTOR), None)
            if call.start.method == _RESURRECT and self._is_contract(call):
                return call
        return None

    # --- names --------------------------------------------------------------------------------------------------

    def _is_contract(self, node: CallNode) -> bool:
        return node.code is not None and self._directory.is_contract(node.code)

    def _actor(self, node: CallNode) -> ActorID | None:
        """Return the called actor. Transfers are not dispatched to a runtime, so their address is looked up."""
        actor = node.actor
        if actor is None:
            actor = node.created if node.created is not None else self._directory.lookup(node.start.to)
        address = from_delegated(node.start.to)
        if actor is not None and address is not None:
            self._names[actor] = address
        return actor

    def _learn_created(self, node: CallNode, constructor: CallNode) -> None:
        """Record the address of a contract that may be destroyed already, from the init actor's parameters."""
        actor = constructor.actor
        exec4 = next((call for call in node.calls if constructor in call.calls), None)
        if actor is None or exec4 is None:
            return
        try:
            reader = CborReader(exec4.start.params)
            reader.array(3)
            reader.link(), reader.byte_string()
            self._names[actor] = EthAddress(reader.byte_string())
        except ParamsError:
            return

    def _name(self, actor: ActorID) -> EthAddress:
        known = self._names.get(actor)
        if known is None:
            delegated = self._directory.delegated_address(actor)
            known = self._names[actor] = (None if delegated is None else from_delegated(delegated)) or masked_id(actor)
        return known


def _make_frame(
    kind: str, node: CallNode, sender: EthAddress, to: EthAddress | None, data: bytes, out: bytes
) -> EthereumFrame:
    start, end = node.start, node.end or _UNFINISHED
    gas, used = start.gas_available // MILLIGAS_PER_GAS, -(-end.gas_used // MILLIGAS_PER_GAS)
    exit_code = end.exit_code or (ExitCode.SYS_ASSERTION_FAILED if end.error else ExitCode.OK)
    own = -(-(end.gas_used - sum(call.end.gas_used for call in node.calls if call.end)) // MILLIGAS_PER_GAS)
    return EthereumFrame(
        kind, sender, to, start.value, gas, used, data, out, exit_code, message=end.message, own_gas=own
    )


def _deployed_code(constructor: CallNode) -> bytes | None:
    return next((item.code for item in constructor.items if isinstance(item, CodeDeployed)), None)


def _is_lost(node: CallNode) -> bool:
    """Return True if a call failed before its receiver was found or created."""
    end = node.end or _UNFINISHED
    return not node.found and bool(end.error or end.exit_code)


def _self_destruction(event: SelfDestructed) -> EthereumFrame:
    return EthereumFrame(SELFDESTRUCT, event.address, event.beneficiary, event.balance, 0, 0, b"", b"", ExitCode.OK)


def _reaches_ethereum(node: CallNode) -> bool:
    """Return True if a call got far enough to be known to Ethereum: no syscall error, sufficient funds."""
    end = node.end or _UNFINISHED
    refused = bool(end.error) and end.error != "OUT_OF_GAS"
    return not refused and end.exit_code not in _NEVER_BEGAN


def _init_code(creation: CallNode) -> bytes:
    start = creation.start
    if start.method == CREATE_EXTERNAL_METHOD:
        return _payload(start.params_codec, start.params)
    reader = CborReader(start.params)
    reader.array(2)
    return reader.byte_string()


def _payload(codec: int, data: bytes) -> bytes:
    if codec in (CBOR, DAG_CBOR):
        return read_canonical_byte_string(data)
    return b"" if codec == NO_CODEC and not data else calldata_of(codec, data)


def _payload_of(end: CallEnded) -> bytes:
    return _payload(end.return_codec, end.return_data)
