"""Definition of a syscall: import name, signature and handler; and the C structures exchanged with the guest.

Structures are packed and little-endian (ref-fvm shared/src/sys/out). If a syscall has a result, its first argument is
the guest's result pointer. The handler returns the bytes, and `abi` writes them there.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from hypervisor.errors import ActorFatal
from runtimes.wasm.module.parser import I32, I64


class Structure:
    """A structure in the guest's memory: its name in C, the `struct` letters of its fields, and their names.

    A scalar has no field names.
    """

    __slots__ = ("fields", "letters", "name", "pack", "packing", "size")

    def __init__(self, name: str, letters: str, fields: tuple[str, ...] = ()) -> None:
        self.name = name
        self.letters = letters
        self.fields = fields
        self.packing = struct.Struct("<" + letters)
        self.size = self.packing.size
        """Size in bytes."""
        self.pack: Callable[..., bytes] = self.packing.pack
        """Pack the values of the fields into bytes; raises struct.error if one does not fit."""


U32 = Structure("uint32_t", "I")
I32_RESULT = Structure("int32_t", "i")
U64 = Structure("uint64_t", "Q")
RANDOMNESS = Structure("fvm_randomness", "32s", ("bytes",))
PUBLIC_KEY = Structure("fvm_public_key", "65s", ("bytes",))
TOKEN_AMOUNT = Structure("fvm_token_amount", "QQ", ("low", "high"))
"""Low and high half of an attoFIL amount."""
IPLD_OPEN = Structure("fvm_ipld_open", "QII", ("codec", "block", "size"))
IPLD_STAT = Structure("fvm_ipld_stat", "QI", ("codec", "size"))
SEND = Structure("fvm_send_result", "IIQI", ("exit_code", "block", "codec", "size"))
MESSAGE_CONTEXT = Structure(
    "fvm_message_context",
    "QQQQQ16s16sQ",
    ("origin", "nonce", "caller", "receiver", "method", "value", "gas_premium", "flags"),
)
NETWORK_CONTEXT = Structure(
    "fvm_network_info", "qQ16sQI", ("epoch", "timestamp", "base_fee", "chain_id", "network_version")
)
CONSENSUS_FAULT = Structure("fvm_consensus_fault", "qQI", ("epoch", "target", "kind"))
EVENT_ENTRY = Structure("fvm_event_entry", "QQII", ("flags", "codec", "key_length", "value_length"))
STRUCTURES = (
    TOKEN_AMOUNT, IPLD_OPEN, IPLD_STAT, SEND, MESSAGE_CONTEXT, NETWORK_CONTEXT, CONSENSUS_FAULT, EVENT_ENTRY,
    RANDOMNESS, PUBLIC_KEY,
)  # fmt: skip
"""All structures with named fields. A 16-byte field holds a TOKEN_AMOUNT."""

YES, NO = I32_RESULT.pack(0), I32_RESULT.pack(-1)
"""Results of syscalls that return a boolean: 0 for true, -1 for false."""

_HALF = (1 << 64) - 1
_POINTERS = str.maketrans("rw", "II")


Handler = Callable[..., bytes | None]


@dataclass(frozen=True, slots=True)
class Syscall:
    """One syscall.

    `params` has one letter per argument, without the result pointer. `i` and `I` are i32, `q` and `Q` are i64, `r` and
    `w` are pointers that the syscall reads or writes; `wI` is a buffer and its length, checked before the handler runs.
    `returns` is the structure written to the result pointer, or
    None.
    """

    module: str
    name: str
    handler: Handler
    params: str = ""
    returns: Structure | None = None

    @property
    def result(self) -> int:
        """Size of the result in bytes, 0 for none."""
        return 0 if self.returns is None else self.returns.size

    @property
    def letters(self) -> str:
        """All arguments of the import as `struct` letters, the pointer for the result first."""
        return ("I" if self.result else "") + self.params.translate(_POINTERS)

    @property
    def wasm_params(self) -> bytes:
        """Parameter types of the import."""
        return bytes(I64 if letter in "qQ" else I32 for letter in self.letters)

    @property
    def wasm_results(self) -> bytes:
        """Result types of the import: one error number."""
        return bytes((I32,))


def token_amount(amount: int) -> bytes:
    """Pack an amount in attoFIL for the guest; raises ActorFatal if it does not fit in 128 bits."""
    if not 0 <= amount >> 128 < 1:
        raise ActorFatal(f"an amount of {amount} attoFIL does not fit in 128 bits")
    return TOKEN_AMOUNT.pack(amount & _HALF, amount >> 64)
