"""Syscalls `crypto.*`: hashes, signatures, proofs. Source: ref-fvm syscalls/crypto.rs, syscalls/filecoin.rs."""

from collections.abc import Sequence
from typing import overload

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.messages.signatures import BLS_PUBLIC_KEY_LENGTH, BLS_SIGNATURE_LENGTH, SECP_SIGNATURE_LENGTH
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.syscalls.table import CONSENSUS_FAULT, I32_RESULT, NO, PUBLIC_KEY, U32, YES, Syscall

DIGEST_LENGTH = 32
_MAX_U32 = 0xFFFF_FFFF


def verify_signature(
    call: WasmInvocation,
    type_number: int,
    signature_offset: int,
    signature_length: int,
    signer_offset: int,
    signer_length: int,
    plaintext_offset: int,
    plaintext_length: int,
) -> bytes:
    """Check that a key address signed a plaintext: 0 if so, -1 if not."""
    # check
    signature = call.memory.view(signature_offset, signature_length)
    signer = call.memory.read_address(signer_offset, signer_length)
    plaintext = call.memory.view(plaintext_offset, plaintext_length)
    # charge, do and return
    return YES if call.kernel.crypto.verify_signature(type_number, signature, signer, plaintext) else NO


def verify_bls_aggregate(
    call: WasmInvocation,
    count: int,
    signature_offset: int,
    keys_offset: int,
    plaintexts_offset: int,
    lengths_offset: int,
) -> bytes:
    """Check a BLS signature aggregated over `count` keys, each with its own plaintext: 0 if valid, -1 if not."""
    # check
    if count * BLS_PUBLIC_KEY_LENGTH > _MAX_U32:
        raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{count} signers are too many")
    signature = call.memory.read(signature_offset, BLS_SIGNATURE_LENGTH)
    keys = _Keys(call.memory.view(keys_offset, count * BLS_PUBLIC_KEY_LENGTH))
    lengths = call.memory.view(lengths_offset, count * U32.size).cast("I")  # both are little-endian
    joined = call.memory.view(plaintexts_offset, sum(lengths) & _MAX_U32)  # the network's sum wraps
    # charge, do and return
    return YES if call.kernel.crypto.verify_bls_aggregate(signature, keys, joined, lengths) else NO


def recover_secp_public_key(call: WasmInvocation, digest_offset: int, signature_offset: int) -> bytes:
    """Recover the public key of a signature."""
    # check
    digest = call.memory.read(digest_offset, DIGEST_LENGTH)
    signature = call.memory.read(signature_offset, SECP_SIGNATURE_LENGTH)
    # charge, do and return
    return call.kernel.crypto.recover_secp_public_key(digest, signature)


def hash_(call: WasmInvocation, code: int, offset: int, length: int, buffer: int, buffer_length: int) -> bytes:
    """Write a digest to the buffer, truncated to its size; return the number of bytes written."""
    # check
    data = call.memory.view(offset, length)
    # charge and do
    digest = call.kernel.crypto.hash(code, data)[:buffer_length]
    call.memory.write(buffer, digest)
    # return
    return U32.pack(len(digest))


def compute_unsealed_sector_cid(
    call: WasmInvocation, proof_type: int, offset: int, length: int, buffer: int, buffer_length: int
) -> bytes:
    """Write the CID of the commitment to a sector's pieces to the buffer; return its length."""
    # check
    pieces = call.memory.read(offset, length)
    # charge and do
    cid = call.kernel.proofs.compute_unsealed_sector_cid(proof_type, pieces)
    # return
    return U32.pack(call.memory.write_cid(cid, buffer, buffer_length))


def verify_post(call: WasmInvocation, offset: int, length: int) -> bytes:
    """Verify a window proof of spacetime: 0 if valid, -1 if not."""
    # check
    info = call.memory.read(offset, length)
    # charge, do and return
    return YES if call.kernel.proofs.verify_post(info) else NO


def verify_consensus_fault(
    call: WasmInvocation,
    first_offset: int,
    first_length: int,
    second_offset: int,
    second_length: int,
    extra_offset: int,
    extra_length: int,
) -> bytes:
    """Return the fault that block headers prove; all zeros if they prove none."""
    # check
    first = call.memory.read(first_offset, first_length)
    second = call.memory.read(second_offset, second_length)
    extra = call.memory.read(extra_offset, extra_length)
    # charge and do
    fault = call.kernel.proofs.verify_consensus_fault(first, second, extra)
    # return
    if fault is None:
        return bytes(CONSENSUS_FAULT.size)
    return CONSENSUS_FAULT.pack(fault.epoch, fault.target, fault.kind)


def verify_aggregate_seals(call: WasmInvocation, offset: int, length: int) -> bytes:
    """Verify an aggregate of seal proofs: 0 if valid, -1 if not."""
    # check
    info = call.memory.read(offset, length)
    # charge, do and return
    return YES if call.kernel.proofs.verify_aggregate_seals(info) else NO


def verify_replica_update(call: WasmInvocation, offset: int, length: int) -> bytes:
    """Verify the proof of a replica update: 0 if valid, -1 if not."""
    # check
    info = call.memory.read(offset, length)
    # charge, do and return
    return YES if call.kernel.proofs.verify_replica_update(info) else NO


def batch_verify_seals(call: WasmInvocation, offset: int, length: int, result_offset: int) -> None:
    """Verify seal proofs; write a byte for each, 1 or 0, at the result pointer."""
    # check
    seals = call.kernel.proofs.read_seals(call.memory.read(offset, length))
    call.memory.check(result_offset, len(seals.fields))
    # charge and do
    answers = call.kernel.proofs.batch_verify_seals(seals)
    # return
    call.memory.write(result_offset, bytes(answers))


class _Keys(Sequence[bytes]):
    """Concatenated public keys, split lazily: millions of them must not cost anything before the charge."""

    def __init__(self, joined: memoryview) -> None:
        self._joined = joined

    def __len__(self) -> int:
        return len(self._joined) // BLS_PUBLIC_KEY_LENGTH

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * BLS_PUBLIC_KEY_LENGTH
        return bytes(self._joined[start : start + BLS_PUBLIC_KEY_LENGTH])


SYSCALLS = (
    Syscall("crypto", "verify_signature", verify_signature, "IrIrIrI", I32_RESULT),
    Syscall("crypto", "recover_secp_public_key", recover_secp_public_key, "rr", PUBLIC_KEY),
    Syscall("crypto", "hash", hash_, "QrIwI", U32),
    Syscall("crypto", "compute_unsealed_sector_cid", compute_unsealed_sector_cid, "qrIwI", U32),
    Syscall("crypto", "verify_post", verify_post, "rI", I32_RESULT),
    Syscall("crypto", "verify_consensus_fault", verify_consensus_fault, "rIrIrI", CONSENSUS_FAULT),
    Syscall("crypto", "verify_aggregate_seals", verify_aggregate_seals, "rI", I32_RESULT),
    Syscall("crypto", "verify_replica_update", verify_replica_update, "rI", I32_RESULT),
    Syscall("crypto", "batch_verify_seals", batch_verify_seals, "rIw"),
)
SYSCALLS_V4 = (Syscall("crypto", "verify_bls_aggregate", verify_bls_aggregate, "Irrrr", I32_RESULT),)
