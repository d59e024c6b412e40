"""Sets of rules of a network: what differs between Filecoin's and Ethereum's, and how others are added.

A package registers a set under the entry-point group `hypervisor.rules`: a `hypervisor.rules.RuleSet`, which names what
makes the machine's part and the network's. This project's own sets are `localnet.rules.sets`.
"""
