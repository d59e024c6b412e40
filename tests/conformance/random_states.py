"""Random states for the comparison of whole messages with the reference (`tests.conformance.oracle_messages`).

Every state has accounts of each kind of key, a placeholder, multisigs with one and two required signers, a payment
channel, DataCap, two actors of users' code, and contracts with fixed (call-forwarding) and random code.
"""

import struct
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from fvm_hypervisor.laboratory.vectors.tipsets import ReplayExterns, ReplayFault
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT, Genesis
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import INIT_ACTOR, VERIFIED_REGISTRY_ACTOR, ActorID, ChainEpoch, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import NetworkVersion, network_version
from runtimes.evm.ethereum.alloc import AllocAccount
from store.blocks.memory import MemoryStore
from store.blocks.overlay import OverlayStore
from store.cid import CBOR, EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.codec import decode, encode, link
from store.links import blocks_below
from tests.differential.generator import helpers
from tests.differential.grammar import THEMES, WORDS, Grammar
from tests.differential.twins import install_contracts
from tests.fuzz import evm_programs
from tests.hypervisor.builtin_actors.contracts import FORWARDER
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    ETHEL,
    FIL,
    OTHER_WORKER,
    WORKER,
    amount,
    packed,
    raw,
)
from tests.hypervisor.builtin_actors.world import PROJECT
from tests.runtimes.evm.assembler import assemble
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
        """Return a state with its own random contracts."""
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
    """Return the epoch context of all states."""
    return MachineContext(network, EPOCH, TIMESTAMP, TokenAmount(base_fee), CHAIN_ID, SUPPLY)


def tipsets() -> list[dict[str, Any]]:
    """Return the previous tipsets in the form of a vector."""
    return [{"epoch": epoch, "cid": {"/": show(cid_of(encode(epoch)))}} for epoch in range(EPOCH)]


def contracts(random: Random) -> dict[EthAddress, AllocAccount]:
    """Create contracts with random code, and the fixed ones."""
    targets = (*GENERATED[:2], *_FIXED, *helpers(), *GENERATED[2:])
    codes = [assemble(Grammar(random, random.choice([*THEMES]), targets).program()) for _ in GENERATED[1:]]
    accounts = {
        address: AllocAccount(random.choice((0, 7, 10**18)), 1, code, _slots(random))
        for address, code in zip(GENERATED, [*codes, evm_programs.program(random)], strict=True)
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
