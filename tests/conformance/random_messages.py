"""Random messages to a random state (`tests.conformance.random_messages`), most of which have an effect.

A message is a call of a random kind with a sender, a nonce, fees and a gas limit that are mostly valid. Calls are
nested: a contract passes one to a precompile, a multisig proposes one, a user's actor makes one. So frames of
contracts, users' actors and built-in actors are mixed, including reentrant calls.

Every state has accounts of each kind of key, a placeholder, multisigs with one and two required signers, a payment
channel, DataCap, two actors of users' code, and contracts with fixed (call-forwarding) and random code.
"""

import struct
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CREATE2_METHOD, CREATE_EXTERNAL_METHOD, CREATE_METHOD, invoke_params
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT, Genesis
from hypervisor.context import MachineContext
from hypervisor.errors import MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import (
    EAM_ACTOR,
    INIT_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from hypervisor.versions.network_versions import NetworkVersion, network_version
from hypervisor_tools.laboratory.vectors.tipsets import ReplayExterns, ReplayFault
from runtimes.evm.blocks.alloc import AllocAccount
from store.blocks.memory import MemoryStore, OverlayStore
from store.cid import CBOR, DAG_CBOR, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import decode, encode, link
from store.links import blocks_below
from tests.differential.grammar import THEMES, WORDS, Grammar, helpers
from tests.differential.twins import install_contracts
from tests.fuzz import trees
from tests.hypervisor.builtin_actors.contracts import FORWARDER, call_data
from tests.hypervisor.builtin_actors.damage import damaged
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    ETHEL,
    FIL,
    OTHER_WORKER,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
)
from tests.hypervisor.builtin_actors.test_same_paymentchannel import Voucher
from tests.hypervisor.builtin_actors.world import PROJECT
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.wasm.guests import imports, wasm

EPOCH: Final = ChainEpoch(90)
"""An early epoch, since a vector's chain lists every tipset up to it."""
TIMESTAMP: Final = 1_700_000_000
CHAIN_ID: Final = 314
SUPPLY: Final = TokenAmount(600_000_000 * FIL)

DAVE: Final = to_filecoin(EthAddress(b"\xda" * 20))
"""A placeholder with a balance."""
SENDERS: Final = (ALICE, BOB, CAROL, ETHEL, WORKER, OTHER_WORKER, DAVE)
"""Accounts that can send chain messages; ALICE is f0100, and so on."""

RELAY = ActorID(1000)
"""A user's actor that makes the call encoded in its parameters (`Relayed`)."""
CALL_BY_ID, CALL_BY_ADDRESS, PASS_ON, CREATE, CREATE2 = (EthAddress(bytes([0xF0 + index]) * 20) for index in range(5))
"""Contracts: three pass their calldata to a precompile that calls actors, or to the address at its start; two create a
contract from it.
"""
GENERATED: Final = tuple(EthAddress(bytes([0xC0 + index]) * 20) for index in range(6))
_FIXED: Final = {
    CALL_BY_ID: FORWARDER,
    CALL_BY_ADDRESS: FORWARDER.replace(bytes.fromhex("fe00000000000000000000000000000000000005"),
                                       bytes.fromhex("fe00000000000000000000000000000000000003")),
    PASS_ON: assemble(
        "32 CALLDATASIZE LT @end JUMPI 32 CALLDATASIZE SUB 32 0 CALLDATACOPY "
        "0 0 32 CALLDATASIZE SUB 0 CALLVALUE 0 CALLDATALOAD GAS CALL 0 SSTORE "
        "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN end:"
    ),
    CREATE: assemble(
        "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 CALLVALUE CREATE DUP1 7 SSTORE 0 MSTORE 32 0 RETURN"
    ),
    CREATE2: assemble(
        "CALLDATASIZE 0 0 CALLDATACOPY 0 CALLDATALOAD CALLDATASIZE 0 CALLVALUE CREATE2 "
        "DUP1 7 SSTORE 0 MSTORE 32 0 RETURN"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """A state, its blocks outside of bundles, and a machine at the state."""

    machine: Hypervisor
    root: Cid
    blocks: Mapping[Cid, bytes]
    contracts: tuple[EthAddress, ...]
    places: Mapping[str, Address]
    """Actor IDs by name: multisigs, payment channel, counter, and a user's actor."""


class Ground:
    """The initial state shared by all random states of a network version, created once."""

    def __init__(self, network: NetworkVersion, bundle: Bundle) -> None:
        self.network, self.bundle = network, bundle
        self._theirs = {cid for cid, _ in bundle.blocks}
        self._base = MemoryStore()
        self._base.put_many(bundle.blocks)
        self._vector = {"tipsets": tipsets()}
        made_at = network if network.actors == bundle_actors(network) else network_version(NEWEST_WITH_BUNDLE)
        accounts = {address: TokenAmount(1_000_000 * FIL) for address in SENDERS if address != DAVE}
        machine = Hypervisor.open(
            bundle=bundle, evm="official", genesis=Genesis(accounts=accounts), context=context_at(made_at, 0)
        )
        self.places = _furnish(machine)
        self._root = machine.root
        self._base.put_many(self._own_blocks(machine).items())

    def world(self, random: Random, base_fee: int) -> World:
        machine = self.machine_at(self._root, {}, base_fee)
        accounts = contracts(random)
        install_contracts(machine, accounts)
        root = machine.flush()
        return World(machine, root, self._own_blocks(machine), tuple(accounts), self.places)

    def at(self, network: NetworkVersion) -> "Ground":
        """Return the same state at another network version."""
        other = copy(self)
        other.network = network
        return other

    def machine_at(self, root: Cid, blocks: Mapping[Cid, bytes], base_fee: int) -> Hypervisor:
        """Return a fresh machine at a state; `blocks` are those missing from the initial state."""
        store = OverlayStore(self._base)
        store.put_many(blocks.items())
        context = context_at(self.network, base_fee)
        return Hypervisor.at(store, root, context, externs=ReplayExterns(self._vector), proofs=ReplayFault(None))

    def _own_blocks(self, machine: Hypervisor) -> dict[Cid, bytes]:
        """Return the blocks of a machine's state that the bundle does not contain."""
        below = blocks_below(machine.store, [machine.root])
        return {cid: data for cid, data in below if cid not in self._theirs}


NEWEST_WITH_BUNDLE: Final = 28


def bundle_actors(network: NetworkVersion) -> int:
    """Return the actors version used at a network version; v19 has no available bundle."""
    return min(network.actors, network_version(NEWEST_WITH_BUNDLE).actors)


def context_at(network: NetworkVersion, base_fee: int) -> MachineContext:
    return MachineContext(network, EPOCH, TIMESTAMP, TokenAmount(base_fee), CHAIN_ID, SUPPLY)


def tipsets() -> list[dict[str, Any]]:
    """Return the previous tipsets in the form of a vector."""
    return [{"epoch": epoch, "cid": {"/": show(cid_of(encode(epoch)))}} for epoch in range(EPOCH)]


def contracts(random: Random) -> dict[EthAddress, AllocAccount]:
    targets = (*GENERATED[:2], *_FIXED, *helpers(), *GENERATED[2:])
    codes = [assemble(Grammar(random, random.choice([*THEMES]), targets).program()) for _ in GENERATED[1:]]
    accounts = {
        address: AllocAccount(random.choice((0, 7, 10**18)), 1, code, _slots(random))
        for address, code in zip(GENERATED, [*codes, trees.program(random)], strict=True)
    }
    fixed = {address: AllocAccount(10**18, 1, code) for address, code in _FIXED.items()}
    return {**accounts, **fixed, **helpers()}


def _slots(random: Random) -> dict[int, int]:
    keys = random.sample((0, 1, 31, 1 << 128, (1 << 255) + 1), random.randrange(4))
    return {key: random.choice((1, 7, *WORDS[-4:])) for key in keys}


# --- what is there besides contracts ----------------------------------------------------------------------------------


def _furnish(machine: Hypervisor) -> dict[str, Address]:
    """Create multisigs, a payment channel, DataCap, a placeholder and users' actors."""
    signers = [raw(signer) for signer in (ALICE, BOB, CAROL)]
    places = {
        "wallet": _created(machine, 0, "multisig", packed(signers, 1, 0, 0)),
        "board": _created(machine, 1, "multisig", packed(signers, 2, 100, 5)),
        "channel": _created(machine, 2, "paymentchannel", packed(raw(ALICE), raw(BOB))),
    }
    _send(machine, ALICE, DAVE, 0, b"", 1000 * FIL)
    root, registry = Address.id(VERIFIED_REGISTRY_ROOT), Address.id(VERIFIED_REGISTRY_ACTOR)
    _send(machine, root, registry, _ADD_VERIFIER, packed(raw(ALICE), amount(10**12)))
    _send(machine, ALICE, registry, _ADD_CLIENT, packed(raw(BOB), amount(10**9)))
    counter = machine.install((PROJECT / "examples" / "counter" / "counter.wasm").read_bytes())
    places["counter"] = Address.id(machine.create(counter).id)
    state = ActorState(machine.install(relay()), EMPTY_ARRAY_CID, balance=TokenAmount(10 * FIL))
    machine.state_tree.set_actor(RELAY, state)
    machine.store.put(EMPTY_ARRAY_CID, encode([]))
    machine.flush()
    return places


_ADD_VERIFIER, _ADD_CLIENT = 2, 4


def _created(machine: Hypervisor, nonce: int, kind: str, constructor: bytes) -> Address:
    params = packed(link(machine.manifest.code(kind)), constructor)
    return Address.from_bytes(decode(_send(machine, ALICE, Address.id(INIT_ACTOR), 2, params, 10 * FIL, nonce))[1])


def _send(
    machine: Hypervisor, sender: Address, to: Address, method: int, params: bytes, value: int = 0, nonce: int = 0
) -> bytes:
    message = Message(to, sender, nonce, TokenAmount(value), MethodNumber(method), params)
    result = machine.apply_implicit(message)
    assert result.exit_code == 0, f"{to} method {method}: {result.message}"
    return result.return_data


@dataclass(frozen=True, slots=True)
class Relayed:
    """Instructions for the relay actor: a call, and the action after it (`END`)."""

    to: bytes
    method: int = 0
    params: bytes = b""
    value: int = 0
    gas_limit: int = (1 << 64) - 1
    flags: int = 0
    codec: int = CBOR
    end: int = 0

    def encode(self) -> bytes:
        """Return the encoding that the relay actor reads."""
        head = struct.pack(
            "<BBBBIQQQ", len(self.to), self.flags, self.codec, self.end, 0, self.method, self.value, self.gas_limit
        )
        return head + self.to + self.params


ENDS: Final = ("return", "exit", "keep", "twice", "destroy", "trap", "event")
"""Actions of the relay actor after its call: return the result; exit with a code; store the result as its state; repeat
the call; delete itself; trap; emit an event.
"""


def relay() -> bytes:
    """Return an actor that makes the call in its parameters.

    It returns the send's error number, its result and the first bytes of the return data.
    """
    at, result = 0x1000, 0x300
    event = "".join(f"{chr(92)}{byte:02x}" for byte in struct.pack("<QQII", 3, RAW, 1, 4) + b"k")
    return wasm(f"""(module
        {
        imports(
            "ipld.block_read",
            "ipld.block_create",
            "ipld.block_link",
            "self.set_root",
            "self.self_destruct",
            "send.send",
            "vm.exit",
            "event.emit_event",
        )
    }
        (memory (export "memory") 2)
        (data (i32.const 0x200) "{event}")
        (func $ask (param $block i32)
            (i32.store (i32.const {result}) (call $send (i32.const {result + 8})
                (i32.const {at + 32}) (i32.load8_u (i32.const {at})) (i64.load (i32.const {at + 8})) (local.get $block)
                (i64.const 0) (i64.load (i32.const {at + 16})) (i64.load (i32.const {at + 24}))
                (i64.load8_u (i32.const {at + 1})))))
        (func (export "invoke") (param $given i32) (result i32) (local $size i32) (local $block i32) (local $end i32)
            (if (i32.eqz (local.get $given)) (then (return (i32.const 0))))
            (drop (call $block_read (i32.const 0) (local.get $given) (i32.const 0) (i32.const {at}) (i32.const 16384)))
            (local.set $size (i32.sub (i32.add (i32.const 16384) (i32.load (i32.const 0)))
                (i32.add (i32.const 32) (i32.load8_u (i32.const {at})))))
            (if (i32.gt_s (local.get $size) (i32.const 0)) (then
                (if (i32.eqz (call $block_create (i32.const 0x10) (i64.load8_u (i32.const {at + 2}))
                    (i32.add (i32.const {at + 32}) (i32.load8_u (i32.const {at}))) (local.get $size)))
                    (then (local.set $block (i32.load (i32.const 0x10)))))))
            (call $ask (local.get $block))
            (local.set $end (i32.load8_u (i32.const {at + 3})))
            (if (i32.eq (local.get $end) (i32.const 3)) (then (call $ask (local.get $block))))
            (if (i32.load (i32.const {result + 12})) (then
                (drop (call $block_read (i32.const 0) (i32.load (i32.const {result + 12})) (i32.const 0)
                    (i32.const {result + 40}) (i32.const 64)))))
            (drop (call $block_create (i32.const 0x20) (i64.const {RAW}) (i32.const {result}) (i32.const 104)))
            (if (i32.eq (local.get $end) (i32.const 1)) (then
                (drop (call $exit (i32.add (i32.const 100) (i32.load (i32.const {result}))) (i32.load (i32.const 0x20))
                    (i32.const 0x200) (i32.const 0)))))
            (if (i32.eq (local.get $end) (i32.const 2)) (then
                (drop (call $block_link (i32.const 0x30) (i32.load (i32.const 0x20)) (i64.const 0xb220) (i32.const 32)
                    (i32.const 0x40) (i32.const 64)))
                (drop (call $set_root (i32.const 0x40)))))
            (if (i32.eq (local.get $end) (i32.const 4)) (then (drop (call $self_destruct (i32.const 1)))))
            (if (i32.eq (local.get $end) (i32.const 5)) (then unreachable))
            (if (i32.eq (local.get $end) (i32.const 6)) (then
                (drop (call $emit_event (i32.const 0x200) (i32.const 1) (i32.const 0x218) (i32.const 1)
                    (i32.const {result}) (i32.const 4)))))
            (i32.load (i32.const 0x20))))""")


CARRIED_SIGNATURE: Final = 69
"""Bytes that a signature which cannot be aggregated adds to a message's length."""
PLENTY: Final = 150_000_000
"""Enough gas for nearly every message; an endless loop uses it up in a tenth of a second."""
DEEPEST: Final = 4
HOLDING: Final = 0.35
"""Fraction of calls that contain another call."""
U64: Final = (1 << 64) - 1

_NUMBERS: Final = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 22, 1023, 1024, 1 << 24, (1 << 24) - 1, int(INVOKE_EVM), 1 << 32, U64,
    *(method_number(name) for name in ("Balance", "Transfer", "Burn", "TotalSupply", "Receive", "AuthenticateMessage")),
)  # fmt: skip
_CREATIONS: Final = (0x600A600C600039600A6000F3602A60005260206000F3, 0x60FF60005360016000F3, 0x3360005260206000F3,
                     0x60006000FD, 0x30FF, 0x60EF60005360016000F3)  # fmt: skip
"""Init codes of contracts: returns 42, one byte, or the caller's address; reverts; destroys itself; returns code that
begins with a forbidden byte.
"""


_FEES: Final = ((10**10, 200), (10**10, 10**9), (0, 0), (100, 100), (10**12, 0), (50, 200), (1000, 1001), (10**20, 0))
"""Fee caps and premiums: two valid ones, and some with a low cap, a high premium, or a premium above the cap."""


@dataclass(frozen=True, slots=True)
class Call:
    """Receiver, method and parameters of a message."""

    to: Address
    method: int = 0
    params: bytes = b""
    value: int = 0
    calldata: bytes | None = None
    """Calldata in the parameters, if the receiver is a contract."""
    by: Address | None = None
    """Allowed callers, if not all."""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A message as included in a chain; `length` is its size in bytes, or None for the system's own messages."""

    message: Message
    length: int | None
    kind: str


class Messages:
    """Draws messages for a state in sequence; nonces are read from its machine at that time."""

    def __init__(self, random: Random, world: World) -> None:
        self._random, self._world = random, world
        self._codes = world.machine.manifest
        self._contracts = [to_filecoin(address) for address in world.contracts]
        self._leaves: dict[Callable[[], Call], int] = {
            self._transfer: 5, self._invoke: 14, self._ask_contract: 3, self._create: 4, self._create_inside: 3,
            self._wallet: 2, self._channel: 2, self._datacap: 3, self._account: 1, self._exec: 2, self._count: 2,
            self._anything: 4,
        }  # fmt: skip
        self._holders: dict[Callable[[int], Call], int] = {
            self._by_id: 7,
            self._by_address: 4,
            self._pass_on: 4,
            self._relay: 7,
            self._propose: 3,
        }

    # --- messages ---------------------------------------------------------------------------------------------

    def next(self) -> Drawn:
        random, call = self._random, self.call(0)
        if random.random() < 0.06:
            sender = Address.id(random.choice((0, 1, 2, 3, 4, 5, 6, 7, 10, 99, 100, 107, 108, 1000, 1001, 9999)))
            message = self._message(call, sender, random.randrange(3), PLENTY)
            return Drawn(message, None, f"implicit {call.kind}")
        sender = call.by if call.by is not None and random.random() < 0.7 else self._sender()
        message = self._message(call, sender, self._nonce(sender), PLENTY)
        length = len(message.to_cbor())
        length += CARRIED_SIGNATURE if sender.protocol in (Protocol.SECP256K1, Protocol.DELEGATED) else 0
        if random.random() < 0.02:
            length = random.choice((0, 1, 100_000))
        return Drawn(replace(message, gas_limit=self._gas_limit(message, length)), length, call.kind)

    def _message(self, call: Call, sender: Address, nonce: int, gas_limit: int) -> Message:
        random = self._random
        fees = random.choice(_FEES if random.random() < 0.3 else _FEES[:2])
        return Message(
            call.to, sender, nonce, TokenAmount(call.value), MethodNumber(call.method), call.params, Gas(gas_limit),
            TokenAmount(fees[0]), TokenAmount(fees[1]),
        )  # fmt: skip

    def _sender(self) -> Address:
        draw = self._random.random()
        if draw < 0.9:
            return self._random.choice(SENDERS)
        known = Address.id(self._random.randrange(100, 107))
        return known if draw < 0.95 else self.address()

    def _nonce(self, sender: Address) -> int:
        actor = self._world.machine.actor(sender)
        nonce = 0 if actor is None else actor.nonce
        return max(0, nonce + self._random.choice((-1, 1, 5))) if self._random.random() < 0.04 else nonce

    def _gas_limit(self, message: Message, length: int) -> Gas:
        """Draw a gas limit: sufficient, or any amount up to the required gas."""
        draw = self._random.random()
        if draw < 0.85:
            return Gas(PLENTY)
        if draw < 0.88:
            return Gas(self._random.choice((0, 1, 1 << 62, 1 << 63, int(10 ** self._random.uniform(2, 8)))))
        machine = self._world.machine
        with machine.trial():
            try:
                needed = machine.apply(message, length).gas_used
            except MessageError:
                needed = Gas(PLENTY)
        return Gas(self._random.choice((self._random.randrange(needed + 1), needed, max(0, needed - 1), needed + 1)))

    # --- calls ------------------------------------------------------------------------------------------------

    def call(self, depth: int) -> Call:
        """Draw a call; the probability of nested calls decreases with depth."""
        random = self._random
        if depth < DEEPEST and random.random() < HOLDING:
            (hold,) = random.choices([*self._holders], [*self._holders.values()])
            call, kind = hold(depth), hold.__name__
        else:
            (make,) = random.choices([*self._leaves], [*self._leaves.values()])
            call, kind = make(), make.__name__
        if call.params and random.random() < 0.06:
            call = replace(call, params=damaged(call.params, random))
        if random.random() < 0.02:
            call = replace(call, method=random.choice(_NUMBERS))
        return replace(call, kind=kind.removeprefix("_").replace("_", " "))

    def address(self) -> Address:
        """Draw an address: existing, missing or invalid."""
        random = self._random
        match random.randrange(12):
            case 0 | 1:
                return random.choice(SENDERS)
            case 2 | 3:
                return random.choice(self._contracts)
            case 4:
                return random.choice([*self._world.places.values()])
            case 5 | 6:
                return Address.id(random.choice((*range(11), 80, 90, 99, *range(100, 125), 1000, 1001, 5000, U64 >> 1)))
            case 7:
                return random.choice((STRANGER, Address.bls(random.randbytes(48)), Address.actor(random.randbytes(4))))
            case 8:
                return Address.delegated(10, random.choice((b"\x78", b"\x79")) * 20)
            case 9:
                return Address.delegated(
                    10, random.choice((masked_id(101), masked_id(1000), masked_id(9999), bytes(20)))
                )
            case 10:
                prefix = random.choice((b"\0", b"\xfe"))
                return Address.delegated(10, prefix + bytes(18) + bytes((random.randrange(1, 20),)))
            case _:
                return Address.delegated(
                    random.choice((10, 10, 11, 1, 5000)), random.randbytes(random.choice((0, 5, 20, 54)))
                )

    def _value(self) -> int:
        return self._random.choice((0,) * 14 + (1, 5, 7, FIL, 10**24, 1 << 70))

    def _transfer(self) -> Call:
        value = self._random.choice((0, 1, 10**9, FIL, 10**23, 10**27, 1 << 130))
        return Call(self.address(), 0, self._random.choice((b"",) * 4 + (b"\x40", b"\xff")), value)

    def _calldata(self) -> bytes:
        data = self._random.randbytes(self._random.choice((0, 4, 32, 36, 64, 68, 96)))
        return data if self._random.random() < 0.7 else bytes(31) + bytes((self._random.randrange(3),)) + data

    def _invoke(self) -> Call:
        return self._evm(self._random.choice((*GENERATED, *GENERATED, *self._world.contracts)), self._calldata())

    def _ask_contract(self) -> Call:
        params = self._random.choice(
            (b"", b"\x80", b"\x40", encode(bytes(32)), encode([bytes(32)]), packed(b"\x01", b"", bytes(20), b""))
        )
        return Call(
            self._random.choice(self._contracts), self._random.choice((*range(1, 8), *_NUMBERS)), params, self._value()
        )

    def _init_code(self) -> bytes:
        random = self._random
        if random.random() < 0.4:
            made = random.choice(_CREATIONS)
            return made.to_bytes((made.bit_length() + 7) // 8, "big")
        code = assemble(Grammar(random, random.choice([*THEMES]), self._world.contracts).program())
        return random.choice((deployer(code), deployer(code), code))

    def _create(self) -> Call:
        code = self._init_code()
        method, params = self._random.choice((
            (CREATE_EXTERNAL_METHOD, byte_string(code)), (CREATE_EXTERNAL_METHOD, byte_string(code)),
            (CREATE_METHOD, packed(code, self._random.randrange(3))), (CREATE2_METHOD, packed(code, bytes(32))),
        ))  # fmt: skip
        return Call(Address.id(EAM_ACTOR), method, params, self._value())

    def _create_inside(self) -> Call:
        return self._evm(self._random.choice((CREATE, CREATE2)), self._init_code())

    def _evm(self, to: EthAddress, data: bytes) -> Call:
        return Call(to_filecoin(to), INVOKE_EVM, invoke_params(data), self._value(), data)

    def _wallet(self) -> Call:
        """Draw a signer's call, or a multisig-only method proposed to the multisig."""
        random = self._random
        wallet = self._world.places[random.choice(("wallet", "wallet", "board"))]
        signer = random.choice((ALICE, BOB, CAROL))
        if random.random() < 0.4:
            method, params = random.choice((
                (3, packed(random.randrange(3), b"")), (4, packed(random.randrange(3), b"")),
                (method_number("Receive"), packed(1, b"")),
            ))  # fmt: skip
            return Call(wallet, method, params, self._value(), by=signer)
        method, params = random.choice((
            (5, packed(raw(self.address()), True)), (6, packed(raw(CAROL), False)),
            (7, packed(raw(BOB), raw(STRANGER))), (8, packed(1)), (9, packed(10, 50, amount(FIL))),
        ))  # fmt: skip
        proposal = packed(raw(wallet), amount(0), method, params)
        return Call(wallet, *random.choice(((method, params), (2, proposal), (2, proposal))), by=signer)

    def _channel(self) -> Call:
        channel, random = self._world.places["channel"], self._random
        tokens = random.choice((0, 5, FIL, 10**22))
        voucher = Voucher(channel, lane=random.randrange(2), nonce=random.randrange(1, 4), amount=tokens)
        signer, other = random.choice(((ALICE, BOB), (BOB, ALICE)))
        shown = packed(voucher.signed_by(signer), b"")
        return Call(channel, *random.choice(((2, shown), (2, shown), (3, b""), (4, b""))), by=other)

    def _datacap(self) -> Call:
        number, tokens = raw(self.address()), amount(self._random.choice((0, 1, 10**18, 10**27)))
        name, params = self._random.choice((
            ("Name", b""), ("Symbol", b""), ("TotalSupply", b""), ("Granularity", b""), ("Balance", encode(number)),
            ("Transfer", packed(number, tokens, b"")), ("TransferFrom", packed(raw(BOB), number, tokens, b"")),
            ("IncreaseAllowance", packed(number, tokens)), ("DecreaseAllowance", packed(number, tokens)),
            ("RevokeAllowance", encode([number])), ("Burn", packed(tokens)), ("BurnFrom", packed(raw(BOB), tokens)),
            ("Allowance", packed(raw(BOB), number)),
        ))  # fmt: skip
        return Call(Address.id(7), method_number(name), params)

    def _account(self) -> Call:
        number, params = self._random.choice((
            (2, b""), (method_number("AuthenticateMessage"), packed(self._random.randbytes(65), b"message")),
            (method_number("Receive"), packed(1, b"")),
        ))  # fmt: skip
        return Call(self._random.choice(SENDERS), number, params, self._value())

    def _exec(self) -> Call:
        random = self._random
        constructors = {
            "multisig": packed([raw(self.address()), raw(ALICE)], 1, 0, 0), "evm": packed(bytes(20), b""),
            "paymentchannel": packed(raw(ALICE), raw(BOB)), "account": encode(raw(self.address())), "placeholder": b"",
            "init": packed("x"),
        }  # fmt: skip
        kind = random.choice(("multisig", "multisig", "paymentchannel", "paymentchannel", *constructors))
        given = constructors[kind if random.random() < 0.8 else random.choice([*constructors])]
        code = link(self._codes.code(kind))
        plain, named = packed(code, given), packed(code, given, random.randbytes(20))
        return Call(
            Address.id(INIT_ACTOR), *random.choice(((2, plain), (2, plain), (2, plain), (3, named))), self._value()
        )

    def _count(self) -> Call:
        name, params = self._random.choice((
            ("Increment", b""), ("Increment", b"\x05"), ("Get", b""), ("Deposit", b""), ("Deposits", b""),
            ("LastCall", b""), ("Fail", b""), ("Recurse", b"\x05"), ("Recurse", b"\x18\x40"), ("Trap", b""),
            ("PingPong", b"\x05"),
        ))  # fmt: skip
        return Call(self._world.places["counter"], method_number(name), params, self._value())

    def _anything(self) -> Call:
        random = self._random
        params = random.choice(
            (b"", b"\x80", b"\x81\x00", packed(raw(self.address())), encode(raw(self.address())), random.randbytes(9))
        )
        return Call(self.address(), random.choice(_NUMBERS), params, self._value())

    # --- calls that hold calls --------------------------------------------------------------------------------

    def _by_id(self, depth: int) -> Call:
        inner = self.call(depth + 1)
        actor = self._world.machine.state_tree.lookup_id(inner.to)
        data = self._flagged(
            call_data(actor if actor is not None else 9999, inner.method & U64, inner.params, 0, inner.value)
        )
        return self._evm(CALL_BY_ID, data)

    def _by_address(self, depth: int) -> Call:
        inner = self.call(depth + 1)
        codec = CBOR if inner.params else 0
        arguments = (inner.method & U64, inner.value, 0, codec, inner.params, raw(inner.to))
        data = encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "bytes"], arguments)
        return self._evm(CALL_BY_ADDRESS, self._flagged(data))

    def _flagged(self, data: bytes) -> bytes:
        """Draw the arguments of a precompile, some with the read-only flag or an invalid word."""
        draw = self._random.random()
        if draw < 0.1:
            return data[:95] + b"\x01" + data[96:]
        if draw < 0.15:
            place = self._random.randrange(len(data))
            return data[:place] + bytes((self._random.randrange(256),)) + data[place + 1 :]
        return data

    def _pass_on(self, depth: int) -> Call:
        inner = self.call(depth + 1)
        if inner.calldata is not None:
            target, data = inner.to.subaddress(), inner.calldata
        else:
            actor = self._world.machine.state_tree.lookup_id(inner.to)
            target, data = masked_id(actor if actor is not None else 9999), b""
        return self._evm(PASS_ON, target.rjust(32, b"\0")[-32:] + data)

    def _relay(self, depth: int) -> Call:
        random, inner = self._random, self.call(depth + 1)
        limit = U64 if random.random() < 0.8 else random.choice((0, 1000, 1_000_000, 10_000_000))
        flags = random.choice((0,) * 8 + (1, 2))
        codec = random.choice((CBOR, CBOR, CBOR, DAG_CBOR, RAW, 0x99))
        asked = Relayed(
            raw(inner.to),
            inner.method & U64,
            inner.params,
            inner.value & U64,
            limit,
            flags,
            codec,
            random.choice((0, 0, 0, *range(len(ENDS)))),
        )
        return Call(Address.id(RELAY), random.choice((2, 3, 1 << 40)), asked.encode(), self._value())

    def _propose(self, depth: int) -> Call:
        inner = self.call(depth + 1)
        wallet = self._world.places["wallet" if self._random.random() < 0.8 else "board"]
        return Call(
            wallet, 2, packed(raw(inner.to), amount(inner.value), inner.method & U64, inner.params), self._value()
        )
