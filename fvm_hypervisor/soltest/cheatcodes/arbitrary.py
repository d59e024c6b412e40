"""`setArbitraryStorage`: empty slots of a contract get random words when they are first read."""

from __future__ import annotations

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.fuzzing import draw_bytes
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger
from fvm_hypervisor.soltest.cheatcodes.state import State
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from runtimes.evm.ethereum import Accounts


@cheatcode("setArbitraryStorage(address)")
def _arbitrary(context: Context, account: EthAddress) -> None:
    _arbitrary_over(context, account, False)


@cheatcode("setArbitraryStorage(address,bool)")
def _arbitrary_over(context: Context, account: EthAddress, overwrite: bool) -> None:
    """Draw slots at random; with `overwrite`, also slots that are not empty."""
    context.ethereum("slots that are drawn when they are read")
    context.state.arbitrary[account] = overwrite
    if overwrite:
        _forget(context.state, account)


def _forget(state: State, account: EthAddress) -> None:
    state.drawn = {key: word for key, word in state.drawn.items() if key[0] != account}


def copy_drawn(state: State, source: EthAddress, target: EthAddress) -> None:
    """Let slots of `target`, which has a copy of the slots of `source`, be drawn together with those of `source`."""
    if source in state.arbitrary:
        _forget(state, target)
        state.copies[target] = source
        state.drawn |= {(target, slot): word for (owner, slot), word in state.drawn.items() if owner == source}


def fill_slot(state: State, seed: int, accounts: Accounts, account: EthAddress, slot: int) -> None:
    """Draw the word of a slot before its first read, if it is zero and cold; it is warm afterwards, as in forge."""
    source, overwrite = state.copies.get(account), state.arbitrary.get(account)
    if (overwrite is None and source is None) or (account, slot) in state.drawn:
        return
    _, word, is_warm = accounts.slot_state(accounts.find(account), account, slot)
    known = None
    if overwrite is None and source is not None:
        fill_slot(state, seed, accounts, source, slot)
        known = state.drawn.get((source, slot))
    state.drawn[account, slot] = None
    if overwrite or not (word or is_warm):
        drawn = int.from_bytes(draw_bytes(state, seed), "big") if known is None else known
        state.drawn[account, slot] = drawn
        EthereumLedger(accounts).store(account, slot, drawn)
