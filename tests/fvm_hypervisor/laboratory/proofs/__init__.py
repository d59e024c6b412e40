"""Tests of `fvm_hypervisor.laboratory.proofs`."""
