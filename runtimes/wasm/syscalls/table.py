"""What a syscall is: an import name, a signature, and a handler; and the structures that cross the boundary.

Structures are packed and little-endian (ref-fvm shared/src/sys/out). A syscall that returns something takes the guest's
pointer for it as its first argument; the handler returns the bytes, `abi` writes them.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hypervisor.errors import Fatal
from hypervisor.kernel import Kernel
from runtimes.wasm.memory import GuestMemory
from runtimes.wasm.module import I32, I64

U32 = struct.Struct("<I")
I32_RESULT = struct.Struct("<i")
U64 = struct.Struct("<Q")
TOKEN_AMOUNT = struct.Struct("<QQ")
"""Low and high half of an attoFIL amount."""
IPLD_OPEN = struct.Struct("<QII")
IPLD_STAT = struct.Struct("<QI")
SEND = struct.Struct("<IIQI")
MESSAGE_CONTEXT = struct.Struct("<QQQQQ16s16sQ")
NETWORK_CONTEXT = struct.Struct("<qQ16sQI")
CONSENSUS_FAULT = struct.Struct("<qQI")
EVENT_ENTRY = struct.Struct("<QQII")

YES, NO = I32_RESULT.pack(0), I32_RESULT.pack(-1)
"""What verifying syscalls answer."""

_HALF = (1 << 64) - 1


class Caller(Protocol):
    """The invocation that a syscall works for."""

    kernel: Kernel
    memory: GuestMemory

    def account_memory(self) -> None:
        """Count how far the guest's memory has grown, before another guest takes its share."""


Handler = Callable[..., bytes | None]


@dataclass(frozen=True, slots=True)
class Syscall:
    """One syscall. `params` has a letter for each argument as in `struct` (i, I: i32; q, Q: i64), without the pointer
    for the result; `result` is the result's size in bytes, 0 for none."""

    module: str
    name: str
    handler: Handler
    params: str = ""
    result: int = 0

    @property
    def letters(self) -> str:
        """All arguments of the import, the pointer for the result first."""
        return ("I" if self.result else "") + self.params

    @property
    def wasm_params(self) -> bytes:
        """The import's parameter types."""
        return bytes(I64 if letter in "qQ" else I32 for letter in self.letters)

    @property
    def wasm_results(self) -> bytes:
        """The import's result type: an error number."""
        return bytes((I32,))


def token_amount(amount: int) -> bytes:
    """An amount in attoFIL as the guest reads it; Fatal if it does not fit in 128 bits."""
    if not 0 <= amount >> 128 < 1:
        raise Fatal(f"an amount of {amount} attoFIL does not fit in 128 bits")
    return TOKEN_AMOUNT.pack(amount & _HALF, amount >> 64)
