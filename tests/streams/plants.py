"""Planted defects of the reward actor with streams, applied to its state after a message. A run must find each."""

import copy
from dataclasses import replace
from typing import Final

from bridge.bindings import reward as methods
from hypervisor.integers import decode_bigint, encode_bigint
from tests.streams.programs import Plant
from tests.streams.stage import RewardState


def _payout_is_forgotten(method: int, before: RewardState, after: RewardState) -> RewardState | None:
    """Leave the accrued amount unchanged after a claim is paid."""
    return replace(after, streams=before.streams, accrued=before.accrued) if method == methods.CLAIM else None


def _rounded_up(method: int, before: RewardState, after: RewardState) -> RewardState | None:
    """Credit the first explicit stream one attoFIL more than the award minted for it."""
    if method != methods.AWARD_BLOCK_REWARD or after.explicit == before.explicit:
        return None
    (id_, amount), *others = after.accrued
    return replace(after, accrued=[[id_, encode_bigint(decode_bigint(amount) + 1)], *others])


def _map_as_given(method: int, _before: RewardState, after: RewardState) -> RewardState | None:
    """Store the shares in an order other than that of the recipients' IDs."""
    return _reversed(after) if method == methods.SET_SHARES else None


def _reversed(after: RewardState) -> RewardState:
    streams = copy.deepcopy(after.streams)
    for _, _, distribution in streams[0]:
        if distribution is not None:
            distribution[1].reverse()
    return replace(after, streams=streams)


def _too_heavy(method: int, _before: RewardState, after: RewardState) -> RewardState | None:
    """Give a stream the maximum weight when its distribution changes."""
    if method != methods.SET_DISTRIBUTION:
        return None
    streams = copy.deepcopy(after.streams)
    whole = 10**18
    streams[0][-1][1] = [whole, 0, 0, whole, whole]
    return replace(after, streams=streams)


PLANTS: Final[dict[str, Plant]] = {
    "a payout is forgotten": _payout_is_forgotten,
    "a portion is rounded up": _rounded_up,
    "a map is stored as it was given": _map_as_given,
    "a stream weighs too much": _too_heavy,
}
