"""Verification of storage proofs and consensus faults.

The proof syscalls are in `hypervisor.kernel.proofs`. Read `verifier` and `consensus_faults` first.
"""
