"""Syscalls `rand.*`: randomness of the chain, in both forms. Source: ref-fvm syscalls/rand.rs; FIP-0075."""

from hypervisor.types import ChainEpoch
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import RANDOMNESS, Syscall


def get_chain_randomness(call: WasmInvocation, epoch: int) -> bytes:
    """Return the digest of the ticket chain at an epoch; the actor hashes it with its own tag and entropy."""
    # charge, do and return
    return call.kernel.random.chain(ChainEpoch(epoch))


def get_beacon_randomness(call: WasmInvocation, epoch: int) -> bytes:
    """Return the digest of the beacon at an epoch."""
    # charge, do and return
    return call.kernel.random.beacon(ChainEpoch(epoch))


def draw_chain_randomness(call: WasmInvocation, tag: int, epoch: int, offset: int, length: int) -> bytes:
    """Return randomness of the ticket chain, hashed by the host with a tag and entropy (ABI version 3)."""
    # check
    entropy = call.memory.read(offset, length)
    # charge, do and return
    return call.kernel.random.draw_chain_randomness(tag, ChainEpoch(epoch), entropy)


def draw_beacon_randomness(call: WasmInvocation, tag: int, epoch: int, offset: int, length: int) -> bytes:
    """Return randomness of the beacon, hashed by the host with a tag and entropy (ABI version 3)."""
    # check
    entropy = call.memory.read(offset, length)
    # charge, do and return
    return call.kernel.random.draw_beacon_randomness(tag, ChainEpoch(epoch), entropy)


RAND_SYSCALLS = (
    Syscall("rand", "get_chain_randomness", get_chain_randomness, "q", RANDOMNESS),
    Syscall("rand", "get_beacon_randomness", get_beacon_randomness, "q", RANDOMNESS),
)
RAND_SYSCALLS_V3 = (
    Syscall("rand", "get_chain_randomness", draw_chain_randomness, "qqrI", RANDOMNESS),
    Syscall("rand", "get_beacon_randomness", draw_beacon_randomness, "qqrI", RANDOMNESS),
)
