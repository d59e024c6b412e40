"""Syscalls `network.*`: facts of the chain. Source: ref-fvm syscalls/network.rs, syscalls/filecoin.rs."""

import struct

from hypervisor.errors import Fatal
from hypervisor.types import ChainEpoch
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import NETWORK_CONTEXT, TOKEN_AMOUNT, U32, Syscall, token_amount


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
        raise Fatal(f"epoch {now.epoch} at {now.timestamp} s does not fit the syscall's result") from None


def tipset_cid(call: WasmInvocation, epoch: int, buffer: int, length: int) -> bytes:
    """Write the CID of a past tipset to the buffer; return its length."""
    # check
    call.memory.check(buffer, length)
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
