"""Tests of what differs between sets of rules."""
