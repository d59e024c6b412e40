"""Tests of `fvm_hypervisor.proofs`."""
