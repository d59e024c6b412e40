"""Small contracts in opcodes: a forwarder to any actor, a logger of its calldata, and one that makes a fixed call."""

from typing import Any

from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params
from hypervisor import Address
from hypervisor.types import EAM_ACTOR
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.people import ETHEL
from tests.hypervisor.builtin_actors.twins import Twins

INVOKE_EVM = 3844450837
READ_ONLY = 1
CBOR = 0x51

# CALLDATACOPY all; DELEGATECALL the precompile call_actor_id with it; RETURNDATACOPY all; RETURN it
_CALL_ACTOR_BY_ID = "73fe00000000000000000000000000000000000005"
COPY = 8
"""Bytes of code that copy code."""
FORWARDER = bytes.fromhex("365f5f375f5f365f" + _CALL_ACTOR_BY_ID + "5af43d5f5f3e3d5ff3")
# CALLDATACOPY all; LOG0 it; STOP
LOGGER = bytes.fromhex("365f5f37365fa000")


def deploy(twins: Twins, code: bytes) -> Address:
    """Deploy runtime code from ETHEL's account; returns the contract's f410 address."""
    length = len(code).to_bytes(2, "big")
    init = bytes([0x61, *length, 0x60, 12, 0x5F, 0x39, 0x61, *length, 0x5F, 0xF3]) + code
    result = twins.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(init), 0, ETHEL)
    assert result.exit_code == 0, result.message
    return to_filecoin(CreateReturn.decode(result.return_data).eth_address)


def call_data(actor: int, method: int, params: bytes = b"", flags: int = 0, value: int = 0) -> bytes:
    """Return the calldata of the precompile `call_actor_id`."""
    arguments = (method, value, flags, CBOR if params else 0, params, actor)
    return encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], arguments)


def reentrant(call: bytes, answer: bytes) -> bytes:
    """Return code that makes the call `call` (see `call_data`) whenever it is called, and then returns `answer`."""
    ask = bytes.fromhex(f"5f5f61{len(call):04x}5f{_CALL_ACTOR_BY_ID}5af450")  # DELEGATECALL; POP
    say = bytes.fromhex(f"61{len(answer):04x}5ff3")  # RETURN
    start = 2 * COPY + len(ask) + len(say)
    return _copy(call, start) + ask + _copy(answer, start + len(call)) + say + call + answer


def _copy(data: bytes, offset: int) -> bytes:
    """Return code that copies `data`, at `offset` in the code, to the start of memory (CODECOPY)."""
    return bytes.fromhex(f"61{len(data):04x}61{offset:04x}5f39")


class Forwarder:
    """A contract that calls actors, read-only if asked; to them it is a caller that is not built in."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.address = deploy(twins, FORWARDER)

    def call(self, actor: int, method: int, params: bytes = b"", flags: int = 0, value: int = 0) -> Any:
        """Call a method; the answer of the precompile is compared like any other return value."""
        calldata = call_data(actor, method, params, flags, value)
        return self.twins.send(self.address, INVOKE_EVM, invoke_params(calldata), value, ETHEL)


def exit_of(result: Any) -> int:
    """The exit code that the precompile reports; negative for a failed send."""
    answer: bytes = decode(result.return_data)
    return int.from_bytes(answer[:32], "big", signed=True)
