"""Tests of contract verification, with outputs of solc 0.8.30 for recorded/Kept.sol and variants of it."""
