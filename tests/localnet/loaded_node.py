"""Imports of every module that a serving node loads, for a process from which nodes are forked."""

import gc
from importlib import import_module

import localnet.fork.ethereum_fork  # noqa: F401  # loaded by a network in a folder
from localnet.rpc.method_table import further_modules
from localnet.rules.parts import rules_named
from tests.command import LOADED

for _name in LOADED:
    import_module(_name)
for _module in further_modules():
    pass
rules_named("filecoin")  # reads the installed sets of rules once
gc.freeze()  # collections in the nodes leave alone what they share
