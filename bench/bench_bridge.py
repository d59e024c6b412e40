"""Calls between contracts and native actors, compared with the same calls on one side only.

The programs only forward calls, so the rows compare the overhead of a call: input and output of a precompile, a frame
of either kind, and the flush of a frame's state. The encoding of calls is measured separately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import process_time
from typing import Final

from eth_abi.abi import encode as encode_abi
from wasmtime import wat2wasm

from bench.rows import Row, seconds
from bridge.actors.facade import facade
from bridge.bindings import datacap
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.call import decode_call, decode_method_return, encode_call_return, encode_method_calldata
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor import Address, Hypervisor, Message
from hypervisor.exit_codes import ExitCode
from hypervisor.types import DATACAP_ACTOR, ActorID, Gas, TokenAmount
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from store.cid import CBOR, RAW

FRAMES: Final = 20
CALLS: Final = 5
CODINGS: Final = 5000
SENDER: Final = EthAddress(bytes(19) + b"\x01")
CALL, DELEGATECALL = 0xF1, 0xF4
CALL_ACTOR_ID: Final = b"\xfe" + bytes(18) + b"\x05"
CALLDATA: Final = b"calldata"

RELAY: Final = f"""(module
  (import "ipld" "block_create" (func $create (param i32 i64 i32 i32) (result i32)))
  (import "ipld" "block_read" (func $read (param i32 i32 i32 i32 i32) (result i32)))
  (import "ipld" "block_stat" (func $stat (param i32 i32) (result i32)))
  (import "send" "send" (func $send (param i32 i32 i32 i64 i32 i64 i64 i64 i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "invoke") (param $params i32) (result i32) (local $size i32) (local $head i32)
    (if (i32.eqz (local.get $params)) (then (return (i32.const 0))))
    (drop (call $stat (i32.const 0) (local.get $params)))
    (local.set $size (i32.load offset=8 (i32.const 0)))
    (drop (call $read (i32.const 64) (local.get $params) (i32.const 0) (i32.const 1024) (local.get $size)))
    (local.set $head (i32.add (i32.load8_u (i32.const 1024)) (i32.const 1)))
    (i32.store (i32.const 0) (i32.const 0))
    (if (i32.gt_u (local.get $size) (local.get $head))
      (then (drop (call $create (i32.const 0) (i64.const {RAW}) (i32.add (i32.const 1024) (local.get $head))
        (i32.sub (local.get $size) (local.get $head))))))
    (drop (call $send (i32.const 64) (i32.const 1025) (i32.load8_u (i32.const 1024)) (i64.const {INVOKE_EVM})
      (i32.load (i32.const 0)) (i64.const 0) (i64.const 0) (i64.const 0x7fffffffffffffff) (i64.const 0)))
    (i32.const 0)))"""
"""A native actor that sends the rest of its parameters to the address they begin with (its length, its bytes)."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    chains = Chains()
    contracts, native, across = (
        (processor(long, CALLS) - processor(short, CALLS)) / frames
        for long, short, frames in (
            (chains.contracts, chains.contract, FRAMES),
            (chains.natives, chains.native, FRAMES),
            (chains.alternating, chains.contract, FRAMES // 2),
        )
    )
    note = f"{across * 1e6:.0f} us; contract to contract {contracts * 1e6:.0f}, native to native {native * 1e6:.0f} us"
    yield Row("from a contract to a native actor and back", across / (contracts + native), note)
    coding = processor(code_call, CODINGS) + processor(code_method, CODINGS)
    yield Row("coding of a call in either direction", coding / 2 * 1e6, f"{2 / coding:,.0f} a second")
    for name, actions in (
        ("bindings", (encode_params, decode_params, decode_return)),
        ("facade", (convert_params, convert_return)),
    ):
        times = {action.__name__: processor(action, CODINGS) * 1e6 for action in actions}
        slowest = max(times.values())
        yield Row(f"a parameter tuple through the {name}", slowest, f"{1e6 / slowest:,.0f} a second", times)


def processor(action: Callable[[], None], calls: int) -> float:
    """Return processor time in seconds; for calls of microseconds, other programs would distort wall time."""
    return seconds(action, calls=calls, rounds=25, clock=process_time)


class Chains:
    """A machine with three chains of calls: of contracts, of native actors, and alternating."""

    def __init__(self) -> None:
        self.machine = Hypervisor.open()
        self.relay = self.machine.create(self.machine.install(bytes(wat2wasm(RELAY)))).id
        accounts = {SENDER: AllocAccount(10**18)}
        for place in range(FRAMES + 1):
            last = place == FRAMES
            accounts[_one(place)] = _caller(b"" if last else CALLDATA, CALL, _one(place + 1))
        for place in range(FRAMES // 2 + 1):
            call = b"" if place == FRAMES // 2 else self._through_relay(_two(place + 1))
            accounts[_two(place)] = _caller(call, DELEGATECALL, CALL_ACTOR_ID)
        install_alloc(self.machine, accounts)

    def _through_relay(self, to: EthAddress) -> bytes:
        params = _relay(to_filecoin(to), CALLDATA)
        head = (INVOKE_EVM, 0, 0, CBOR, params, self.relay)
        return encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], head)

    def contracts(self) -> None:
        self._call(to_filecoin(_one(0)))

    def contract(self) -> None:
        self._call(to_filecoin(_one(FRAMES)))

    def alternating(self) -> None:
        self._call(to_filecoin(_two(0)))

    def natives(self) -> None:
        params = _relay(Address.id(ActorID(99)))
        for _ in range(FRAMES):
            params = _relay(Address.id(self.relay), params)
        self._call(Address.id(self.relay), params)

    def native(self) -> None:
        self._call(Address.id(self.relay), _relay(Address.id(ActorID(99))))

    def _call(self, to: Address, params: bytes = b"") -> None:
        message = Message(to, to_filecoin(SENDER), method=INVOKE_EVM, params=params, gas_limit=Gas(10**12))
        result = self.machine.call(message)
        if result.exit_code != ExitCode.OK:
            raise RuntimeError(f"a chain of calls ended with {result.exit_code}: {result.message}")


def _one(place: int) -> EthAddress:
    return EthAddress(b"\xc1" + place.to_bytes(19, "big"))


def _two(place: int) -> EthAddress:
    return EthAddress(b"\xc2" + place.to_bytes(19, "big"))


def _relay(to: Address, params: bytes = b"") -> bytes:
    address = to.to_bytes()
    return bytes([len(address)]) + address + params


def _caller(data: bytes, opcode: int, to: bytes) -> AllocAccount:
    """Return a contract that makes one call with fixed data, or does nothing without data."""
    size = len(data).to_bytes(2, "big")
    value = "5f" if opcode == CALL else ""
    # CODECOPY the data after the code to memory; call with it, and with all remaining gas
    call = bytes.fromhex(f"5f5f61{size.hex()}5f{value}73{to.hex()}5a{opcode:02x}00")
    copy = bytes.fromhex(f"61{size.hex()}60") + bytes([7 + len(call)]) + bytes.fromhex("5f39")
    return AllocAccount(0, 1, copy + call + data if data else b"\x00")


_CALL_INPUT: Final = encode_abi(
    ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], (INVOKE_EVM, 5, 0, CBOR, b"\x83\x01\x02\x03", 1000)
)


def code_call() -> None:
    """Decode and encode the input and output of a call_actor precompile."""
    decode_call(_CALL_INPUT, True)
    encode_call_return(0, CBOR, b"\x83\x01\x02\x03")


def code_method() -> None:
    """Encode a call of a contract's handle_filecoin_method and decode such a return value."""
    decode_method_return(encode_method_calldata(0, CBOR, b"\x83\x01\x02\x03")[4:])


_TO: Final = Address.id(ActorID(1234))
_TRANSFER: Final = datacap.TransferParams(_TO, TokenAmount(5 * 10**18), b"data")
_PARAMS: Final = _TRANSFER.encode()
_RETURN: Final = datacap.TransferReturn(TokenAmount(10**18), TokenAmount(5 * 10**18), b"").encode()
_FUNCTION: Final = next(function for function in facade("datacap").values() if function.name == "transfer")
_CALLDATA: Final = _FUNCTION.selector + encode_abi(
    ["(bytes)", "int256", "bytes"], ((_TO.to_bytes(),), 5 * 10**18, b"data")
)


def encode_params() -> None:
    """Encode a dataclass of an address, an amount and bytes as CBOR."""
    _TRANSFER.encode()


def decode_params() -> None:
    """Decode the same dataclass from CBOR."""
    datacap.TransferParams.decode(_PARAMS)


def decode_return() -> None:
    """Decode two amounts and bytes from CBOR."""
    datacap.TransferReturn.decode(_RETURN)


def convert_params() -> None:
    """Convert calldata with an address, an amount and bytes to CBOR."""
    _FUNCTION.params(_CALLDATA)


def convert_return() -> None:
    """Convert CBOR of two amounts and bytes to ABI encoding."""
    _FUNCTION.encode_return(DATACAP_ACTOR, _RETURN)
