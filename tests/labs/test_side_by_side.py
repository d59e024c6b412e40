"""Blocks of networks with labs, executed in parallel and serially, have equal results.

Workers execute all messages, and the test's process repeats those that conflict, so that differences between processes
are detected under any load.
"""

from functools import partial
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import SET_CODE, Transaction
from fvm_hypervisor.laboratory.profiles.delegated_calls import VARIANTS
from fvm_hypervisor.laboratory.profiles.outbox import OUTBOX, POST, post_params
from hypervisor.machine.parallel import Parallel
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, Gas, TokenAmount
from localnet import Network
from localnet.chain.parallel_candidates import ParallelCandidates
from localnet.state.contract_state import storage_of
from localnet.state.controls import set_code
from tests.localnet.conftest import START
from tests.runtimes.evm.assembler import assemble

USERS, OF_EACH = 4, 3
NOTES = EthAddress(bytes([0xA0] * 20))


def shared(network: Network) -> Parallel:
    """Make two workers execute each block of a network."""
    parallel = Parallel(3, adaptive=False, executes_share=False)
    network.chain.start_block = partial(ParallelCandidates.start, parallel)
    return parallel


def posts(parallel: bool) -> list[Any]:
    """Return states and receipts of blocks in which accounts post messages, and others send at the same time."""
    with Network(rules="lab:async,lanes,rent=all/1000/4/2", clock=lambda: START) as network:
        workers = shared(network) if parallel else None
        network.mine()
        network.automine = False
        users = [account.native for account in network.accounts[: 2 * USERS]]
        for _ in range(2):
            for place, user in enumerate(users):
                state = network.machine.actor(user)
                assert state is not None
                for nonce in range(state.nonce, state.nonce + OF_EACH):
                    params = post_params(
                        users[place - 1], METHOD_SEND, value=nonce, gas=10_000_000, expiry=network.block_number + 9,
                        receipt_method=9, receipt_gas=1_000,
                    )  # fmt: skip
                    is_post = place < USERS
                    network.submit_unsigned(
                        Message(
                            Address.id(OUTBOX) if is_post else users[place ^ 1],
                            user,
                            nonce,
                            value=TokenAmount(10**16),
                            method=POST if is_post else METHOD_SEND,
                            params=params if is_post else b"",
                            gas_limit=Gas(10**8),
                            gas_fee_cap=TokenAmount(10**6),
                            gas_premium=TokenAmount(100 + place),
                        )
                    )
            network.mine()
        network.mine(3)
        if workers is not None:
            assert (workers.blocks, workers.accepted) == (2, 2 * 2 * USERS * OF_EACH)
        return _blocks(network, 2 * 2 * USERS * OF_EACH)


def authorizations(variant: str, parallel: bool) -> list[Any]:
    """Return states and receipts of blocks in which accounts authorize delegations, and call them."""
    with Network(rules=f"lab:accounts={variant}", account_count=2 * USERS, clock=lambda: START) as network:
        workers = shared(network) if parallel else None
        set_code(network.machine, NOTES, assemble("CALLER 1 SSTORE"))
        network.chain.keep_changes()
        network.automine = False
        senders, signers = network.accounts[:USERS], network.accounts[USERS:]
        targets, callers = [each.address for each in signers], [each.address for each in senders]
        if variant == "actor":  # accounts authorize for themselves, and only contracts' calls run the delegates' code
            signers = senders
            targets = callers = [EthAddress(NOTES[:19] + bytes((0x80 + place,))) for place in range(USERS)]
            for relay, signer in zip(targets, signers, strict=True):
                set_code(network.machine, relay, assemble(f"0 0 0 0 0 0x{signer.address.hex()} GAS CALL"))
        for turn in range(2):
            for place, (account, signer) in enumerate(zip(senders, signers, strict=True)):
                transaction = Transaction(
                    SET_CODE, network.chain_id, turn, targets[place], place, b"", 10**8, 10**6, 10**5 + place,
                    authorizations=(signer.sign_authorization(NOTES, turn, 0),),
                )  # fmt: skip
                network.submit(account.sign(transaction).raw())
            network.mine()
        for caller, signer in zip(callers, signers, strict=True):
            assert storage_of(network.machine, signer.delegated, 1)[-20:] == caller
        if workers is not None:
            assert workers.blocks == 2
            assert workers.accepted >= 2
            assert (workers.conflicted > 0) == (variant == "fip"), "own nonces are one actor's"
        return _blocks(network, 2 * USERS)


def _blocks(network: Network, messages: int) -> list[Any]:
    tipsets = [network.chain.index.tipset(height) for height in range(1, network.block_number + 1)]
    assert sum(len(tipset.transactions) for tipset in tipsets) == messages
    return [(tipset.state, tipset.receipts, tipset.gas_used) for tipset in tipsets]


@pytest.mark.slow
def test_blocks_of_posts_by_workers_are_those_of_one_process() -> None:
    assert posts(parallel=True) == posts(parallel=False)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_parallel_authorization_blocks_match_single_process(variant: str) -> None:
    assert authorizations(variant, parallel=True) == authorizations(variant, parallel=False)
