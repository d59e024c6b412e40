"""Equality of the ways to execute a block: pending, mined, traced, replayed and simulated, with random mixes."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE, Authorization, Transaction
from bridge.filecoin.messages import signed_message
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import sign_bls
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet import Network, TransactionRefused
from localnet.accounts import BLS_ACCOUNT, BLS_SECRET
from localnet.calls.simulation import BlockCalls, SimulatedCall, simulate_blocks
from localnet.chain.block_production import PendingBlocks, PendingPlans
from localnet.ledger.records import Execution, Tipset
from localnet.replay.replay import close_folder, heights, replay
from localnet.rules.facts import BlockOverride
from localnet.traces.trace import Replay
from store.codec import encode
from tests.conftest import MANY_SAMPLES
from tests.localnet.conftest import Clock
from tests.runtimes.evm.assembler import assemble

RULES = ("filecoin", "ethereum")
MIXES = 1_000 if MANY_SAMPLES else 8
FEE = 10**10
FIL = 10**18

CONTRACT = assemble("""
    0 CALLDATALOAD 248 SHR DUP1 1 EQ @fail JUMPI DUP1 2 EQ @burn JUMPI DUP1 3 EQ @pay JUMPI
    1 CALLDATALOAD DUP1 SLOAD 1 ADD SWAP1 SSTORE CALLVALUE 0 MSTORE 7 32 0 LOG1 STOP
    fail: 1 1 SSTORE 0 0 REVERT
    burn: @burn JUMP
    pay: 0 0 0 0 CALLVALUE 1 CALLDATALOAD GAS CALL 2 SSTORE STOP
""")
"""Counts in the slot of the calldata's word, reverts, runs out of gas, or pays, by the first byte of the calldata."""


class Mixes:
    """Random messages of all kinds for the next block of a network without automine."""

    def __init__(self, network: Network, random: Random) -> None:
        self._network, self._random = network, random
        self.contract, self._gas = EthAddress(b"\xc0" * 20), 300_000 if network.rules.hardfork else 30_000_000
        network.automine = False
        network.set_code(self.contract, CONTRACT)
        natives = [account.native for account in network.accounts[:3]]
        for address in (BLS_ACCOUNT, to_filecoin(self.contract), *natives):
            network.set_balance(address, 100 * FIL)
        network.set_balance(network.accounts[5], 3 * FIL // 2)
        self._send: tuple[Callable[[], bytes], ...] = (self._bls, self._secp, self._unsigned, self._delegated)

    def fill(self) -> None:
        """Send messages, some of which the pool refuses."""
        for _ in range(self._random.randint(1, 8)):
            with suppress(TransactionRefused):
                self._random.choice((*self._send, self._raw, self._raw, self._impersonated))()

    def _fees(self) -> dict[str, Any]:
        premium = TokenAmount(self._random.randrange(1, FEE // 2))
        return {"gas_limit": Gas(self._gas), "gas_fee_cap": TokenAmount(FEE), "gas_premium": premium}

    def _message(self, sender: Address) -> Message:
        random, nonce = self._random, self._network.pending_nonce(sender) + (self._random.random() < 0.05)
        to, method, params, value = self._receiver(), MethodNumber(0), b"", random.choice((0, 1, FIL))
        if random.random() < 0.3:
            to, method = to_filecoin(self.contract), INVOKE_EVM
            params = encode(self._data())
        elif random.random() < 0.2:
            to, method = Address.id(random.choice((2, 4, 99, 100_000))), MethodNumber(random.choice((0, 5)))
        return Message(to, sender, nonce, TokenAmount(value), method, params, **self._fees())

    def _receiver(self) -> Address:
        random = self._random
        new = random.randbytes(20)
        return random.choice((
            Address.secp256k1(b"\x04" + new + bytes(44)), Address.bls(new + bytes(28)), to_filecoin(EthAddress(new)),
            BLS_ACCOUNT, self._network.accounts[0].native, to_filecoin(self._network.accounts[1].address),
            to_filecoin(self.contract),
        ))  # fmt: skip

    def _data(self) -> bytes:
        random = self._random
        word = random.choice((bytes(31) + b"\x05", bytes(12) + random.randbytes(20)))
        return bytes([random.choice((0, 0, 1, 2, 3))]) + word

    def _bls(self) -> bytes:
        message = self._message(BLS_ACCOUNT)
        signature = Signature(SignatureType.BLS, sign_bls(BLS_SECRET, bytes(message.cid())))
        return self._network.submit_native(SignedMessage(message, signature))

    def _secp(self) -> bytes:
        account = self._random.choice(self._network.accounts[:3])
        return self._network.submit_native(account.sign_native(self._message(account.native)))

    def _unsigned(self) -> bytes:
        sender = self._random.choice((to_filecoin(self.contract), self._network.accounts[4].delegated, BLS_ACCOUNT))
        return self._network.submit_unsigned(self._message(sender))

    def transaction(self, sender: Address) -> Transaction:
        random, network = self._random, self._network
        to, data = self.contract, self._data()
        if random.random() < 0.4:
            to, data = EthAddress(random.choice((random.randbytes(20), network.accounts[3].address))), b""
        types = (LEGACY, DYNAMIC_FEE, ACCESS_LIST, SET_CODE) if network.rules.hardfork else (LEGACY, DYNAMIC_FEE)
        kind = random.choice(types)
        fee, tip = FEE, random.randrange(1, FEE // 2)
        authorizations: tuple[Authorization, ...] = ()
        if kind == SET_CODE:
            account = network.accounts[6]
            authorizations = (account.sign_authorization(self.contract, network.nonce(account), network.chain_id),)
        return Transaction(
            kind, network.chain_id, network.pending_nonce(sender), to, random.choice((0, 1, FIL)), data,
            random.choice((self._gas, self._gas, self._gas // 5)), fee,
            fee if kind in (LEGACY, ACCESS_LIST) else tip, authorizations=authorizations,
        )  # fmt: skip

    def _raw(self) -> bytes:
        account = self._random.choice(self._network.accounts[:6])
        return self._network.submit(account.sign(self.transaction(account.delegated)).raw())

    def _delegated(self) -> bytes:
        account = self._random.choice(self._network.accounts[:6])
        signed = account.sign(replace(self.transaction(account.delegated), type=DYNAMIC_FEE, authorizations=()))
        return self._network.submit_native(signed_message(signed, account.address))

    def _impersonated(self) -> bytes:
        sender = self._random.choice((self.contract, self._network.accounts[7].address))
        return self._network.submit_unsigned_transaction(self.transaction(to_filecoin(sender)), sender)


@pytest.fixture(params=RULES)
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path, clock=Clock(), rules=request.param) as network:
        yield network
    close_folder()


def executions_of(network: Network, tipset: Tipset) -> tuple[Execution, ...]:
    return tuple(receipt.execution for receipt in network.chain.index.receipts(tipset))


@pytest.mark.sampled
def test_pending_mined_traced_and_replayed_blocks_are_equal(network: Network, tmp_path: Path) -> None:
    messages, kinds = Mixes(network, Random(85)), set()
    for _ in range(MIXES):
        messages.fill()
        pending = PendingBlocks(network.chain).block(PendingPlans(network).plan())
        mined = network.mine()
        executions = executions_of(network, mined)
        assert pending.executions == executions
        assert pending.tipset == mined
        again = Replay(network.chain, mined)
        assert [again.next(None) for _ in executions] == [execution.receipt for execution in executions]
        again.end(None)
        assert tuple(again.block.executions) == executions
        assert again.machine.state_tree.flush() == mined.state
        kinds |= {(execution.candidate.kind, execution.candidate.message.signature.type) for execution in executions}
        network.mempool.clear()
    assert len(kinds) >= 5
    assert [found for height in heights(tmp_path) if (found := replay(tmp_path, height).difference)] == []


@pytest.mark.sampled
def test_simulated_and_mined_blocks_are_equal(network: Network) -> None:
    random = Random(86)
    messages = Mixes(network, random)
    network.mempool.first_come = True
    for _ in range(MIXES):
        calls = []
        for account in random.sample(network.accounts[:5], 3):
            for nonce in range(network.nonce(account), network.nonce(account) + random.randint(1, 2)):
                transaction = replace(messages.transaction(account.delegated), nonce=nonce)
                network.submit(account.sign(transaction).raw())
                calls.append(SimulatedCall(account.address, transaction, Gas(transaction.gas_limit), nonce))
        block = BlockCalls(calls, block=BlockOverride(time=network.next_timestamp))
        (simulated,) = simulate_blocks(network.chain, network.head, [block], validation=True)
        mined = network.mine()
        expected = [(each.receipt, each.paid, each.candidate.to, each.events) for each in executions_of(network, mined)]
        executed = [result.execution for result in simulated.results]
        assert [(each.receipt, each.paid, each.candidate.to, each.events) for each in executed] == expected
        assert len(expected) == len(calls)
        assert (simulated.tipset.state, simulated.tipset.gas_used) == (mined.state, mined.gas_used)
