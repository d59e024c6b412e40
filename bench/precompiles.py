"""Ethereum's precompiles in WASM compared with the host's libraries: `python -m bench.precompiles` prints a table.

The WASM is that of `revm-precompile` without native libraries (`bench/guests/precompiles`, which needs Rust), on the
engine that runs the EVM's guest. Both sides must return the same output. Figures are processor times of the computation
only; a host call from the guest takes about 4 us more (docs/engines.md).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from bench.rows import seconds
from hypervisor.builtin_actors.build import ENGINE_FLAGS, PROJECT, TARGET, toolchain
from hypervisor.gas import GasTracker
from hypervisor.messages.signatures import sign
from runtimes.evm.ethereum.forks import fork_named
from runtimes.evm.ethereum.precompiles import run_precompile
from runtimes.evm.precompiles import curves
from runtimes.wasmtime.engine import Linker, own_engine
from runtimes.wasmtime.instance import Instance

GUEST: Final = Path(__file__).parent / "guests" / "precompiles"
BUILD: Final = PROJECT / "build" / "precompiles"
_FAILED: Final = (1 << 32) - 1
_MAX_ROUNDS: Final = 200
_BN254_G2: Final = (
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
)
"""The second generator (EIP-197), imaginary parts first."""

Case = tuple[str, int, bytes, str]


class PrecompileGuest:
    """The precompiles in WASM."""

    def __init__(self) -> None:
        engine, linker = own_engine(), Linker(own_engine())
        self._linked = linker.link(engine.compile(compiled().read_bytes()))
        self._instance = Instance(engine.lib, engine.pointer, 1 << 30, 1024)
        self._instance.instantiate(self._linked.pointer)
        if not self._instance.find_memory() or not self._instance.find_function(b"enter"):
            raise RuntimeError("the module lacks its memory or its entry")
        self._room = self._instance.enter_alone(0)

    def run(self, address: int, data: bytes, rounds: int = 1) -> bytes:
        """Run a precompile `rounds` times; return its output."""
        self._view()[self._room : self._room + 4 + len(data)] = len(data).to_bytes(4, "little") + data
        size = self._instance.enter_alone(address | rounds << 16)
        if size == _FAILED:
            raise RuntimeError(f"precompile {address} rejects its input")
        return bytes(self._view()[self._room : self._room + size])

    def _view(self) -> memoryview:
        base, size = self._instance.memory()
        return memoryview((ctypes.c_ubyte * size).from_address(base)).cast("B")


def compiled() -> Path:
    """Return the module, compiled with the flags of the EVM's guest."""
    command = ["rustup", "run", toolchain(), "cargo", "build", "--quiet", "--locked", "--release", "--target", TARGET]
    flags = {"CARGO_TARGET_DIR": str(BUILD), "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(ENGINE_FLAGS)}
    subprocess.run(command, cwd=GUEST, env=os.environ | flags, check=True)
    return BUILD / TARGET / "release" / "precompiles.wasm"


def cases() -> Iterator[Case]:
    """Yield name, address, input, and a description of its size."""
    some = random.Random(1).randbytes
    digest = hashlib.sha256(b"message").digest()
    signed = sign(b"\1" * 32, digest)
    yield "ecrecover", 1, digest + _word(27 + signed[64]) + signed[:64], ""
    for size in (64, 2048, 32_768):
        yield "sha256", 2, some(size), f"{size:,} bytes"
    for size in (64, 2048):
        yield "ripemd160", 3, some(size), f"{size:,} bytes"
    yield "identity", 4, some(32_768), "32,768 bytes"
    yield "modexp", 5, _modexp(some(32), _odd(some, 32), _odd(some, 32)), "32 bytes, exponent of 32"
    yield "modexp", 5, _modexp(some(256), b"\1\0\1", _odd(some, 256)), "256 bytes, exponent 65,537"
    yield "modexp", 5, _modexp(some(256), _odd(some, 256), _odd(some, 256)), "256 bytes, exponent of 256"
    point, twist = _word(1) + _word(2), b"".join(map(_word, _BN254_G2))
    yield "bn254_add", 6, point * 2, ""
    yield "bn254_mul", 7, point + _odd(some, 32), ""
    yield "bn254_pairing", 8, (point + twist) * 2, "2 pairs"
    yield "blake2f", 9, (12).to_bytes(4, "big") + some(208) + b"\1", "12 rounds"
    infinity = b"\xc0" + bytes(47)  # commitment and proof of the zero polynomial
    versioned = b"\1" + hashlib.sha256(infinity).digest()[1:]
    yield "point_evaluation", 10, versioned + _word(5) + _word(0) + infinity * 2, ""
    yield from _bls12_381(some)
    key = ec.derive_private_key(12345, ec.SECP256R1())
    signature = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
    public = key.public_key().public_numbers()
    yield "p256_verify", 0x100, digest + b"".join(map(_word, (*signature, public.x, public.y))), ""


def _bls12_381(some: Callable[[int], bytes]) -> Iterator[Case]:
    numbers = [bytes(16) + b"\1" + some(47) for _ in range(4)]
    first = [curves.map_fp_to_g1(number) for number in numbers[:2]]
    second = [curves.map_fp2_to_g2(numbers[at] + numbers[at + 1]) for at in range(2)]
    yield "bls12_g1add", 11, b"".join(first), ""
    for count in (1, 16):
        yield (
            "bls12_g1msm",
            12,
            b"".join(first[0] + some(32) for _ in range(count)),
            f"{count} term" + "s" * (count > 1),
        )
    yield "bls12_g2add", 13, b"".join(second), ""
    yield "bls12_g2msm", 14, second[0] + some(32), "1 term"
    yield "bls12_pairing_check", 15, (first[0] + second[0]) * 2, "2 pairs"
    yield "bls12_map_fp_to_g1", 16, numbers[0], ""
    yield "bls12_map_fp2_to_g2", 17, numbers[0] + numbers[1], ""


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _odd(some: Callable[[int], bytes], size: int) -> bytes:
    return b"\xff" + some(size - 2) + b"\xff"


def _modexp(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    return b"".join(map(_word, (len(base), len(exponent), len(modulus)))) + base + exponent + modulus


def main() -> None:
    """Print a row of the table for each case."""
    guest, fork = PrecompileGuest(), fork_named("Osaka")
    print("| precompile | input | in WASM, us | the host's, us |\n|---|---|---|---|")
    for name, address, data, size in cases():

        def host(name: str = name, data: bytes = data) -> bytes:
            return run_precompile(fork, name, data, GasTracker(1 << 62))

        if guest.run(address, data) != host():
            raise RuntimeError(f"{name}: the two differ")
        once = seconds(partial(guest.run, address, data), rounds=1, clock=process_time)
        rounds = max(1, min(_MAX_ROUNDS, int(0.01 / once)))
        inside = seconds(partial(guest.run, address, data, rounds), clock=process_time) / rounds
        outside = seconds(host, calls=rounds, clock=process_time)
        print(f"| {name} | {size} | {1e6 * inside:,.1f} | {1e6 * outside:,.1f} |", flush=True)


if __name__ == "__main__":
    main()
