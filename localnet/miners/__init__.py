"""Storage miners, deals' DataCap and pledge on a local network.

Read `miner`, `onboarding` and `sectors` first.
"""
