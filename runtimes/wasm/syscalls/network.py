"""Syscalls `network.*`, facts of the chain, and `rand.*`, its randomness in both forms.

Source: ref-fvm syscalls/network.rs, filecoin.rs, rand.rs; FIP-0075.
"""

import struct

from hypervisor.errors import ActorFatal
from hypervisor.types import ChainEpoch
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import NETWORK_CONTEXT, RANDOMNESS, TOKEN_AMOUNT, U32, Syscall, token_amount


def context(call: WasmInvocation) -> bytes:
    """Return epoch, timestamp, base fee, chain ID and network version."""
    # do
    now = call.kernel.machine.context
    # return
    try:
        return NETWORK_CONTEXT.pack(
            now.epoch, now.timestamp, token_amount(now.base_fee), now.chain_id, now.network.number
        )
    except struct.error:  # a test may set values that only contracts can read
        raise ActorFatal(f"epoch {now.epoch} at {now.timestamp} s does not fit the syscall's result") from None


def tipset_cid(call: WasmInvocation, epoch: int, buffer: int, length: int) -> bytes:
    """Write the CID of a past tipset to the buffer; return its length."""
    # charge and do
    cid = call.kernel.network.tipset_cid(ChainEpoch(epoch))
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, length))


def total_fil_circ_supply(call: WasmInvocation) -> bytes:
    """Return the circulating supply in attoFIL."""
    # do and return
    return token_amount(call.kernel.network.circulating_supply())


NETWORK_SYSCALLS = (
    Syscall("network", "context", context, "", NETWORK_CONTEXT),
    Syscall("network", "tipset_cid", tipset_cid, "qwI", U32),
    Syscall("network", "total_fil_circ_supply", total_fil_circ_supply, "", TOKEN_AMOUNT),
)


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
