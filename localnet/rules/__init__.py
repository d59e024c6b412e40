"""Sets of rules of a network: the differences between Filecoin and Ethereum, and how to add others.

A package registers a set under the entry-point group `hypervisor.rules`. The entry is a
`hypervisor.machine.rules.RuleSet`, which names the factories of the machine's part and the network's part.
The sets of Filecoin and Ethereum are built in.

The machine's part of a set is in `hypervisor.machine.rules`. Read `parts`, `filecoin` and `ethereum` first.
"""
