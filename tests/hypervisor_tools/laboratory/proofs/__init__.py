"""Tests of `hypervisor_tools.laboratory.proofs`."""
