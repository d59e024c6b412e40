"""Random syscalls, executed by the reference and by this machine: `make oracle-fuzz`.

Each message makes a few hundred of them (`probes`); exit code, error numbers, results, gas, events
and state must be equal. If a message differs, each of its syscalls is repeated separately. A third of the messages must
end successfully.
Needs Rust and the official bundles, like `make oracle-diff`; ends with exit code 1 on a difference, 2 if nothing ran.

Inputs are well-formed ones, changed a little: heads of CBOR, lengths, digests, codecs, addresses, buffers at the edge
of memory. `module_of` creates a guest that makes the calls in order and returns every error number and result.
"""

import argparse
import base64
import copy
import gzip
import io
import json
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypervisor.state.state_tree import StateTree
from hypervisor.types import ActorID
from hypervisor_tools.laboratory.vectors.conformance import VectorResult, read_vectors, run_vector
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from store.blocks.memory import MemoryStore
from store.car.files import read_car, write_car
from store.cid import CBOR, DAG_CBOR, EMPTY_ARRAY_CID, IDENTITY, RAW, Cid, cid_of, parse_cid, show
from store.codec import encode, link
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, oracle
from tests.conftest import bundle_folder
from tests.golden_cases import GOLDEN, VERSIONS
from tests.runtimes.wasm.guests import IMPORTS, imports, wasm

RESULT, BUFFER, OUT, DATA = 0x100, 0x4000, 0x8000, 0x20000
"""Offsets in the guest's memory of a syscall's result, its buffer, the output and the inputs."""

_HEADS = bytes.fromhex("000102181920292a1a1b1c1f383b405f5860617f788081829f98a0a1bfc2d8d9dadbdff4f6f7f9fbff")
_SEALED = Cid(bytes.fromhex("0182e20381e80220") + bytes(31) + b"\1")
_UNSEALED = Cid(bytes.fromhex("0181e203922020") + bytes(31) + b"\1")
_ID = (0, 1, 2, 3, 4, 5, 6, 7, 10, 99, 100, 101, 1000, 5000, (1 << 63) - 1, -1)


@dataclass(frozen=True, slots=True)
class At:
    """An argument that points into the probe's data."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """One syscall: its name, its arguments after the result pointer, and the data that they point into."""

    syscall: str
    arguments: tuple[int | At, ...]
    data: bytes = b""


def module_of(probes: Sequence[Probe]) -> bytes:
    """Return a guest that makes all calls and returns each error number, the result and the start of the buffer."""
    fields, body, at = [], [], DATA
    for probe in probes:
        module, _, name = probe.syscall.partition(".")
        size = SYSCALL_REVISIONS["v4"][module, name].result
        letters = IMPORTS[probe.syscall]
        given = (
            *((RESULT,) if size else ()),
            *(at + one.offset if isinstance(one, At) else one for one in probe.arguments),
        )
        pushed = " ".join(
            f"({'i32' if letter in 'iI' else 'i64'}.const {number})"
            for letter, number in zip(letters, given, strict=True)
        )
        body.append(f"(call $note (call ${probe.syscall.partition('.')[2]} {pushed}))")
        body.append(
            f"(call $keep (i32.const {RESULT}) (i32.const {size}))(call $keep (i32.const {BUFFER}) (i32.const 64))"
        )
        fields.append(f'(data (i32.const {at}) "{"".join(f"{chr(92)}{byte:02x}" for byte in probe.data)}")')
        at += len(probe.data) + 8
    names = {probe.syscall for probe in probes} | {"ipld.block_create"}
    return wasm(f"""(module {imports(*sorted(names))} (memory (export "memory") {(at >> 16) + 1})
        {" ".join(fields)} (global $end (mut i32) (i32.const {OUT}))
        (func $note (param i32) (i32.store (global.get $end) (local.get 0))
            (global.set $end (i32.add (global.get $end) (i32.const 4))))
        (func $keep (param i32 i32) (memory.copy (global.get $end) (local.get 0) (local.get 1))
            (global.set $end (i32.add (global.get $end) (local.get 1))))
        (func (export "invoke") (param i32) (result i32) {" ".join(body)}
            (drop (call $block_create (i32.const 0) (i64.const {RAW}) (i32.const {OUT})
                (i32.sub (global.get $end) (i32.const {OUT}))))
            (i32.load (i32.const 0))))""")


def probes(chance: Random) -> Iterator[Probe]:
    """Yield probes without end."""
    makers: list[Callable[[Random], Probe]] = [
        _proof,
        _proof,
        _block,
        _block,
        _cid,
        _address,
        _event,
        _hash,
        _send,
        _plain,
    ]
    while True:
        yield chance.choice(makers)(chance)


def changed(chance: Random, data: bytes) -> bytes:
    """Return the bytes with up to a few changes, most of them near the beginning."""
    out = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        at = chance.randrange(min(len(out), chance.choice((14, 1 << 20))) or 1)
        match chance.randrange(6):
            case 0:
                out[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                out[at : at + 1] = bytes((chance.choice(_HEADS),))
            case 2:
                out[at:at] = bytes((chance.choice(_HEADS),))
            case 3:
                del out[at : at + chance.randrange(1, 4)]
            case 4:
                del out[max(at, 1) :]
            case _:
                out += chance.randbytes(chance.randrange(1, 4))
    return bytes(out)


def _proof(chance: Random) -> Probe:
    def some() -> range:
        return range(chance.randrange(4))

    sealed, data, digest = link(_SEALED), link(_UNSEALED), bytes(32)
    name, value = chance.choice(
        [
            ("compute_unsealed_sector_cid", [[chance.choice((128, 1024, 2048, 0, 5)), data] for _ in some()]),
            ("verify_post", [digest, [[10, b"abc"] for _ in some()], [[5, n, sealed] for n in some()], 1000]),
            ("verify_aggregate_seals", [1000, chance.choice((8, 9, 18, 5)), 1, b"abc",
                                        [[n, digest, digest, sealed, data] for n in some()]]),
            ("verify_replica_update", [3, sealed, sealed, data, list(some())]),
            ("batch_verify_seals", [[8, [1000, n], [1, 2], digest, digest, b"abc", sealed, data] for n in some()]),
        ]
    )  # fmt: skip
    content = changed(chance, encode(value))
    arguments: tuple[int | At, ...] = (At(), len(content))
    if name == "compute_unsealed_sector_cid":
        arguments = (chance.choice((5, 5, 0, 8, 20)), *arguments, BUFFER, chance.choice((38, 39, 100)))
    elif name == "batch_verify_seals":
        arguments = (*arguments, BUFFER)
    return Probe(f"crypto.{name}", arguments, content)


def _block(chance: Random) -> Probe:
    content = changed(chance, encode(_ipld(chance, 0)))
    return Probe("ipld.block_create", (chance.choice((DAG_CBOR,) * 8 + (CBOR, RAW, 0x70)), At(), len(content)), content)


def _ipld(chance: Random, depth: int) -> Any:
    kind = chance.randrange(12)
    if depth > 3 or kind < 4:
        return chance.choice((0, 24, -1, 1 << 32, b"", b"abc", "x", True, None, 1.5, link(_any_cid(chance))))
    if kind < 9:
        return [_ipld(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {chance.choice("abc") * chance.randrange(3): _ipld(chance, depth + 1) for _ in range(chance.randrange(4))}


def _any_cid(chance: Random) -> Cid:
    inline = cid_of(encode([1, link(EMPTY_ARRAY_CID)]), DAG_CBOR, IDENTITY)
    return chance.choice(
        (EMPTY_ARRAY_CID, EMPTY_ARRAY_CID, _SEALED, _UNSEALED, inline, cid_of(b"hi", RAW, IDENTITY), cid_of(b"x"),
         Cid(b"\x12\x20" + bytes(32)))
    )  # fmt: skip


def _cid(chance: Random) -> Probe:
    syscall = chance.choice(("ipld.block_open", "self.set_root", "actor.get_builtin_actor_type"))
    return Probe(syscall, (At(),), changed(chance, _any_cid(chance)) + bytes(chance.choice((0, 80))))


def _any_address(chance: Random) -> bytes:
    plain = (
        bytes((0, chance.choice(_ID[:12]) & 0x7F)), b"\0" + b"\xff" * 9 + b"\1", b"\1" + chance.randbytes(20),
        b"\2" + bytes(20), b"\3" + chance.randbytes(48), b"\4\x0a" + chance.randbytes(20), b"\4\x0a" + bytes(54),
    )  # fmt: skip
    return changed(chance, chance.choice(plain))


def _address(chance: Random) -> Probe:
    content = _any_address(chance)
    return Probe("actor.resolve_address", (At(), len(content)), content)


def _event(chance: Random) -> Probe:
    keys = [
        chance.choice((b"a", b"key", b"\xc3\xa9", bytes(31), bytes(32), b"", b"\xff"))
        for _ in range(chance.randrange(4))
    ]
    values = [chance.randbytes(chance.choice((0, 1, 32))) for _ in keys]
    off = [chance.choice((0,) * 9 + (1,)) for _ in keys]
    heads = b"".join(
        struct.pack("<QQII", chance.choice((0, 1, 2, 3, 3, 4)), chance.choice((RAW, RAW, CBOR, DAG_CBOR)),
                    len(key) + more, len(value))
        for key, value, more in zip(keys, values, off, strict=True)
    )  # fmt: skip
    key, value = b"".join(keys), b"".join(values)
    places = (At(), len(keys), At(len(heads)), len(key), At(len(heads + key)), len(value))
    return Probe("event.emit_event", places, heads + key + value)


def _hash(chance: Random) -> Probe:
    content = chance.randbytes(chance.randrange(200))
    code = chance.choice((0x12, 0xB220, 0x1B, 0xB240, 0x1053, 0, 0x13, 0x1012))
    return Probe("crypto.hash", (code, At(), len(content), BUFFER, chance.choice((0, 4, 32, 64, 100))), content)


def _send(chance: Random) -> Probe:
    """Send to any actor except the guest itself, which would repeat all calls."""
    to = _any_address(chance)
    method = chance.choice((0, 0, 1, 2, 3, 5, 1 << 32, 3_844_450_837))
    limit = chance.choice((-1, -1, -1, 0, 1_000, 500_000, 2_000_000, 10_000_000))
    value = chance.choice((0, 0, 1, 1_000, 10**18, (1 << 63) - 1))
    parameters, high, flags = (
        chance.choice((0, 0, 1, 2, 9, -1)),
        chance.choice((0, 0, 0, 1)),
        chance.choice((0, 0, 1, 2)),
    )
    return Probe("send.send", (At(), len(to), method, parameters, high, value, limit, flags), to)


def _plain(chance: Random) -> Probe:
    """A syscall with only numeric arguments, except for tipsets missing from the vector's chain, which are fatal."""
    handle, number, epoch = (
        chance.choice((0, 1, 2, 5, 50, -1)),
        chance.choice(_ID),
        chance.choice((0, 1, 100, 4_100, -1, -5)),
    )
    buffer = chance.choice((BUFFER,) * 4 + (0x2FFF0, -1)), chance.choice((0, 4, 38, 48, 100))
    rows: list[tuple[str, tuple[int, ...]]] = [
        ("ipld.block_read", (handle, chance.choice((0, 1, 100, (1 << 31) - 1, -1)), *buffer)),
        ("ipld.block_stat", (handle,)),
        ("ipld.block_link", (handle, chance.choice((0xB220, 0xB220, 0x12, -1)), chance.choice((32, 32, 20)), *buffer)),
        ("self.root", buffer), ("self.current_balance", ()), ("actor.balance_of", (number,)),
        ("actor.lookup_delegated_address", (number, *buffer)), ("actor.get_actor_code_cid", (number, *buffer)),
        ("actor.get_code_cid_for_type", (chance.choice((-1, 0, 1, 5, 16, 17)), *buffer)),
        ("actor.next_actor_address", buffer),
        ("network.tipset_cid", (chance.choice((-1, -5, 5_000, 1 << 62)), *buffer)),
        ("rand.get_chain_randomness", (epoch,)), ("rand.get_beacon_randomness", (epoch,)),
        ("gas.charge", (*buffer, chance.choice((0, 1, 1_000)))), ("gas.available", ()),
    ]  # fmt: skip
    return Probe(*chance.choice(rows))


GUEST = ActorID(1000)
IN_A_MESSAGE = 200

Vector = dict[str, Any]


def main() -> int:
    """Compare `count` syscalls at each network version in turn; return the exit code."""
    options = argparse.ArgumentParser(prog="oracle-fuzz", description=__doc__)
    options.add_argument("--count", type=int, default=8_000, help="how many syscalls (default 8000)")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    stream = probes(Random(chosen.seed))
    messages = -(-chosen.count // len(VERSIONS) // IN_A_MESSAGE)
    differing = finished = 0
    try:
        for version in VERSIONS:
            batch = [list(islice(stream, IN_A_MESSAGE)) for _ in range(messages)]
            vectors = with_reference_results(version, batch)
            found = list(differences(version, batch, vectors))
            for words in found:
                print(f"nv{version}: {words}")
            differing += len(found)
            finished += sum(not vector["postconditions"]["receipts"][0]["exit_code"] for vector in vectors)
            print(f"nv{version}: {messages * IN_A_MESSAGE} syscalls, {len(found)} differences", file=sys.stderr)
    except CannotRun as lack:
        print(f"NOT RUN: {lack}")
        return NOT_RUN
    total = messages * len(VERSIONS)
    print(
        f"{total * IN_A_MESSAGE} syscalls in {total} messages, {finished} of them to the end: {differing} differences"
    )
    return 1 if differing or finished * 3 < total else 0


def differences(version: int, messages: Sequence[list[Probe]], vectors: Sequence[Vector]) -> Iterator[str]:
    """Return the syscalls with different results, or the whole message if each is equal when executed separately."""
    for asked, result in zip(messages, machine(vectors), strict=True):
        if result.passed:
            continue
        alone = zip(asked, machine(with_reference_results(version, [[probe] for probe in asked])), strict=True)
        different = [f"{probe}: {'; '.join(one.differences)}" for probe, one in alone if not one.passed]
        yield from different or [f"only together with other syscalls: {'; '.join(result.differences)[:500]}"]


def with_reference_results(version: int, messages: Sequence[list[Probe]]) -> list[Vector]:
    base = _base(version)
    vectors = [with_guest(base, str(index), module_of(asked)) for index, asked in enumerate(messages)]
    with TemporaryDirectory(prefix="oracle-") as folder:
        path = _written(Path(folder), vectors)
        lines = map(json.loads, oracle("run", str(path)).splitlines())
        printed = {line["id"].partition(":")[0]: line["postconditions"] for line in lines}
    return [{**vector, "postconditions": printed[vector["_meta"]["id"]]} for vector in vectors]


def machine(vectors: Sequence[Vector]) -> Iterator[VectorResult]:
    with TemporaryDirectory(prefix="oracle-") as folder, ExitStack() as stack:
        for check in ("_check_window_proof", "_check_aggregate", "_check_replica_update"):
            # The oracle's proof-accepting kernel checks nothing after the charge.
            stack.enter_context(patch(f"hypervisor.kernel.proofs.{check}"))
        stack.enter_context(patch("hypervisor.kernel.proofs._can_be_seal", return_value=True))
        yield from run_vector(_written(Path(folder), vectors), BundleFolder(bundle_folder()))


def _base(version: int) -> Vector:
    vectors = read_vectors(GOLDEN / "proofs.jsonl.gz")
    return next(v for v in vectors if v["_meta"]["id"].endswith(f"@nv{version}") and v["proofs"] == "accept")


def with_guest(base: Mapping[str, Any], name: str, module: bytes) -> Vector:
    """Return the vector with another module as its guest, under another name."""
    vector = copy.deepcopy(dict(base))
    blocks = dict(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))
    store = _ListingStore(blocks)
    tree = StateTree(store, parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"]))
    guest = tree.get_actor(GUEST)
    assert guest is not None
    code = cid_of(module, RAW)
    tree.set_actor(GUEST, replace(guest, code=code))
    root = tree.flush()
    car = io.BytesIO()
    write_car(car, [root], {**store.blocks, code: module}.items())
    vector["_meta"]["id"] = name
    vector["car"] = base64.b64encode(gzip.compress(car.getvalue())).decode()
    vector["preconditions"]["state_tree"]["root_cid"] = {"/": show(root)}
    return vector


class _ListingStore(MemoryStore):
    def __init__(self, blocks: Mapping[Cid, bytes]) -> None:
        super().__init__()
        self.blocks: dict[Cid, bytes] = {}
        self.put_many(blocks.items())

    def put(self, cid: Cid, data: bytes) -> None:
        self.blocks[cid] = data
        super().put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        for cid, data in blocks:
            self.put(cid, data)


def _written(folder: Path, vectors: Iterable[Mapping[str, Any]]) -> Path:
    path = folder / "asked.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in vectors).encode(), 1))
    return path


if __name__ == "__main__":
    sys.exit(main())
