"""Filecoin's own methods, as in Lotus and Forest.

Lotus' JSON formats are in `localnet.rpc.lotus_values`. Read `state`, `chain` and `messages` first.
"""
