"""Filecoin's precompiles: addresses, calls of actors by method number, beacon randomness.

Rules: FIP-0054, FIP-0072, FIP-0095 as implemented in builtin-actors (precompiles/fvm.rs).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bridge.filecoin.call import AbiError, ActorCall, decode_call, encode_call_return, failed_send_exit
from hypervisor.errors import AddressError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.messages.address import Address
from hypervisor.types import NO_BLOCK, ActorID, MethodNumber, TokenAmount
from runtimes.evm.contracts.engine import CallInputs, CallKind
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.syscalls import PrecompileHost, gas_limit

_WORD: Final = 32
_U64_MAX: Final = (1 << 64) - 1
_TARGET: Final = 5 * 32
"""Offset of the actor ID in the input of a call by ID."""
_U128_MAX: Final = (1 << 128) - 1


def resolve_address(host: PrecompileHost, inputs: CallInputs) -> bytes:
    """Resolve raw address bytes to an actor ID as a word; empty if no actor has the address."""
    actor = host.syscalls.resolve(_parse_address(inputs.data))
    return b"" if actor is None else actor.to_bytes(_WORD, "big")


def lookup_delegated_address(host: PrecompileHost, inputs: CallInputs) -> bytes:
    """Return the raw f4 address of an actor ID; empty if it has none."""
    number = _word(inputs.data)
    if number > _U64_MAX:
        raise PrecompileFailure("actor number above 64 bits")
    delegated = host.syscalls.delegated_address(ActorID(number))
    return b"" if delegated is None else delegated.to_bytes()


def get_beacon_randomness(host: PrecompileHost, inputs: CallInputs) -> bytes:
    """Return the beacon of an epoch, a signed 64-bit number. A future epoch is out of gas, as on Filecoin."""
    number = _word(inputs.data)
    if number > _U64_MAX:
        raise PrecompileFailure("epoch does not fit in 64 bits")
    epoch = number - (1 << 64 if number >> 63 else 0)
    try:
        return host.syscalls.beacon(epoch)
    except SyscallError as error:
        raise PrecompileFailure(str(error)) from None


def call_actor(host: PrecompileHost, inputs: CallInputs) -> bytes:
    """Call an actor by address."""
    return _call_actor(host, inputs, by_id=False)


def call_actor_id(host: PrecompileHost, inputs: CallInputs) -> bytes:
    """Call an actor by ID."""
    return _call_actor(host, inputs, by_id=True)


def _call_actor(host: PrecompileHost, inputs: CallInputs, by_id: bool) -> bytes:
    """Call an actor; only by delegate call, so that the sender is the executing contract."""
    if inputs.kind is not CallKind.DELEGATECALL:
        raise PrecompileFailure("call_actor must be delegate-called")
    try:
        call = decode_call(inputs.data, by_id, check_length=lambda length: host.hold(length, copies=1))
    except AbiError as unread:
        raise PrecompileFailure(f"{unread}{_target_of(inputs.data) if by_id else ''}") from None
    target = Address.id(call.target) if isinstance(call.target, int) else _parse_address(call.target)
    if call.value > _U128_MAX:
        return encode_call_return(failed_send_exit(ErrorNumber.INSUFFICIENT_FUNDS), 0, b"")
    try:
        return _send(host, target, call, gas_limit(host, inputs.gas))
    except SyscallError as error:
        return encode_call_return(failed_send_exit(error.number), 0, b"")


def _target_of(data: bytes) -> str:
    """Return the target of a rejected call, as far as it can be decoded."""
    actor = _word(data[_TARGET : _TARGET + _WORD]) if len(data) >= _TARGET + _WORD else _U64_MAX + 1
    return f", in a call to f0{actor}" if actor <= _U64_MAX else ""


def _send(host: PrecompileHost, target: Address, call: ActorCall, limit: int) -> bytes:
    params = host.syscalls.create(call.codec, call.params) if call.codec else NO_BLOCK
    result = host.contract.send(
        target, MethodNumber(call.method), params, TokenAmount(call.value), limit, call.read_only
    )
    if result.block_id == NO_BLOCK:
        return encode_call_return(result.exit_code, 0, b"")
    return encode_call_return(result.exit_code, result.codec, host.syscalls.read(result.block_id, result.size))


def _word(data: bytes) -> int:
    return int.from_bytes(data[:_WORD].ljust(_WORD, b"\0"), "big")


def _parse_address(data: bytes) -> Address:
    try:
        return Address.from_bytes(data)
    except AddressError as error:
        raise PrecompileFailure(str(error)) from None


FILECOIN: Final[Mapping[str, Callable[[PrecompileHost, CallInputs], bytes]]] = MappingProxyType({
    "resolve_address": resolve_address,
    "lookup_delegated_address": lookup_delegated_address,
    "call_actor": call_actor,
    "call_actor_id": call_actor_id,
    "get_beacon_randomness": get_beacon_randomness,
})  # fmt: skip
"""Precompiles by the names that `Rules.precompiles` uses."""
