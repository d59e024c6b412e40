"""Proofs of the fast engine's arithmetic for all inputs, by a solver (`make verify`; docs/verification.md)."""
