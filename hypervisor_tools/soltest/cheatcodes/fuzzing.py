"""Cheatcodes for random numbers and arbitrary storage.

Random numbers are derived from the run's seed, so that they are repeatable. After `setArbitraryStorage` empty slots of
a contract get random words when they are first read.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import State
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from runtimes.evm.revm import ObservedCall


def draw(context: Context, size: int = 32) -> bytes:
    """Return random bytes, determined by the seed and the previous draws."""
    return draw_bytes(context.state, context.settings.seed, size)


def draw_bytes(state: State, of_run: int, size: int = 32) -> bytes:
    """Return random bytes from the run's seed, or from the seed that the test has set."""
    out = b""
    while len(out) < size:
        state.randomness += 1
        seed = f"{of_run if state.seed is None else state.seed}:{state.randomness}"
        out += blake2b(seed.encode()).digest()
    return out[:size]


def _below(context: Context, limit: int) -> int:
    return int.from_bytes(draw(context, 64), "big") % limit


@cheatcode("setSeed(uint256)")
def _set_seed(context: Context, seed: int) -> None:
    context.state.seed, context.state.randomness = seed, 0


@cheatcode("randomUint(uint256,uint256)", returns="uint256")
def _uint_between(context: Context, low: int, high: int) -> int:
    if low > high:
        raise CheatcodeFailure("min must be less than or equal to max")
    return low + _below(context, high - low + 1)


@cheatcode("randomUint()", "randomUint(uint256)", returns="uint256")
def _uint(context: Context, bits: int = 256) -> int:
    if bits > 256:
        raise CheatcodeFailure("number of bits cannot exceed 256")
    return _below(context, 1 << bits)


@cheatcode("randomInt()", "randomInt(uint256)", returns="int256")
def _int(context: Context, bits: int = 256) -> int:
    if not 0 < bits <= 256:
        raise CheatcodeFailure("number of bits cannot exceed 256")
    return _below(context, 1 << bits) - (1 << (bits - 1))


@cheatcode("randomAddress()", returns="address")
def _address(context: Context) -> EthAddress:
    return EthAddress(draw(context, 20))


@cheatcode("randomBool()", returns="bool")
def _bool(context: Context) -> bool:
    return bool(_below(context, 2))


@cheatcode("randomBytes(uint256)", returns="bytes")
def _bytes(context: Context, size: int) -> bytes:
    if size > 1 << 20:
        raise CheatcodeFailure(f"{size} random bytes exceed the limit of {1 << 20}")
    return draw(context, size)


for _size in (4, 8):
    cheatcode(f"randomBytes{_size}()", returns=f"bytes{_size}")(lambda context, size=_size: draw(context, size))


@cheatcode("bound(uint256,uint256,uint256)", returns="uint256")
@cheatcode("bound(int256,int256,int256)", returns="int256")
def _bound(context: Context, value: int, low: int, high: int) -> int:
    """Return another value within the bounds, as forge does: unlike forge-std's `bound`, it maps no outer value."""
    if not low <= value <= high or low == high:
        raise CheatcodeFailure(f"cannot bound {value} in [{low}, {high}] range")
    other = low + _below(context, high - low)
    return other + (other >= value)


@cheatcode("shuffle(uint256[])", returns="uint256[]")
def _shuffle(context: Context, values: Sequence[int]) -> list[int]:
    left = list(values)
    return [left.pop(_below(context, len(left))) for _ in values]


cheatcode("sort(uint256[])", returns="uint256[]")(lambda _context, values: sorted(values))


@cheatcode("setArbitraryStorage(address)", "setArbitraryStorage(address,bool)")
def _arbitrary(context: Context, account: EthAddress, overwrite: bool = False) -> None:
    """Draw slots at random; with `overwrite`, also slots that are not empty."""
    context.require_ethereum("slots that are drawn when they are read")
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


def fill_slot(state: State, seed: int, ledger: ObservedCall, account: EthAddress, slot: int) -> None:
    """Draw the word of a slot before its first read, if it is zero and cold; it is warm afterwards, as in forge."""
    source, overwrite = state.copies.get(account), state.arbitrary.get(account)
    if (overwrite is None and source is None) or (account, slot) in state.drawn:
        return
    word, is_warm = ledger.slot_state(account, slot)
    known = None
    if overwrite is None and source is not None:
        fill_slot(state, seed, ledger, source, slot)
        known = state.drawn.get((source, slot))
    state.drawn[account, slot] = None
    if overwrite or not (word or is_warm):
        drawn = int.from_bytes(draw_bytes(state, seed), "big") if known is None else known
        state.drawn[account, slot] = drawn
        ledger.store(account, slot, drawn)
