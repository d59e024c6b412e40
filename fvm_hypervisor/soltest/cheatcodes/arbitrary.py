"""`setArbitraryStorage`: empty slots of a contract get random words when they are first read."""

from __future__ import annotations

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.fuzzing import draw_bytes
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
        context.state.drawn = {(owner, slot) for owner, slot in context.state.drawn if owner != account}


def copy_drawn(state: State, source: EthAddress, target: EthAddress) -> None:
    """Let slots of `target`, which has a copy of the slots of `source`, be drawn together with those of `source`."""
    if source in state.arbitrary:
        state.copies[target] = source
        state.drawn |= {(target, slot) for owner, slot in state.drawn if owner == source}


def fill_slot(state: State, seed: int, accounts: Accounts, account: EthAddress, slot: int) -> None:
    """Draw the word of a slot before its first read; the slot is warm afterwards, as in forge."""
    source = state.copies.get(account)
    overwrite = state.arbitrary.get(account)
    actor = accounts.find(account)
    if actor is None or (overwrite is None and source is None) or (account, slot) in state.drawn:
        return
    state.drawn.add((account, slot))
    if accounts.word(actor, slot) and not overwrite:
        return
    if overwrite is None and source is not None:
        fill_slot(state, seed, accounts, source, slot)
        origin = accounts.find(source)
        accounts.store(actor, slot, 0 if origin is None else accounts.word(origin, slot))
    else:
        accounts.store(actor, slot, int.from_bytes(draw_bytes(state, seed), "big"))
