"""With labs on, blocks that are shared by processes come out as those of one process."""

from __future__ import annotations

from typing import Any

from hypervisor.address import Address
from hypervisor.message import Message
from hypervisor.types import METHOD_SEND, Gas, TokenAmount
from localnet import Network
from localnet.rules.labs.outbox import OUTBOX, POST, post_params
from tests.localnet.conftest import START

USERS, OF_EACH = 5, 3


def chain(parallel: int) -> list[Any]:
    """States and receipts of blocks in which accounts post to each other."""
    with Network(rules="lab:async,lanes,rent=all/1000/4/2", parallel=parallel, clock=lambda: START) as network:
        network.mine()
        network.automine = False
        users = [account.native for account in network.accounts[:USERS]]
        for _ in range(2):
            for place, user in enumerate(users):
                state = network.machine.actor(user)
                assert state is not None
                for nonce in range(state.nonce, state.nonce + OF_EACH):
                    params = post_params(
                        users[place - 1], METHOD_SEND, value=nonce, gas=10_000_000, expiry=network.block_number + 9,
                        receipt_method=9, receipt_gas=1_000,
                    )  # fmt: skip
                    network.submit_unsigned(
                        Message(
                            Address.id(OUTBOX),
                            user,
                            nonce,
                            value=TokenAmount(10**16),
                            method=POST,
                            params=params,
                            gas_limit=Gas(10**8),
                            gas_fee_cap=TokenAmount(10**6),
                            gas_premium=TokenAmount(100 + place),
                        )
                    )
            network.mine()
        network.mine(3)
        tipsets = [network.chain.index.tipset(height) for height in range(1, network.block_number + 1)]
        assert sum(len(tipset.transactions) for tipset in tipsets) == 2 * USERS * OF_EACH
        return [(tipset.state, tipset.receipts, tipset.gas_used) for tipset in tipsets]


def test_blocks_of_two_processes_are_those_of_one() -> None:
    assert chain(2) == chain(1)
