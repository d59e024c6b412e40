"""Verification of deployed contracts: compile submitted sources and compare the result with the code on the chain."""
