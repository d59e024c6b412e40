"""Block producers and rewards."""

import signal
from pathlib import Path
from types import FrameType

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.types import REWARD_ACTOR
from localnet import Account, Network
from localnet.chain.mempool import Mempool
from localnet.ledger.blocks import NO_PRODUCER
from store.blockstore import get_object
from tests.conftest import data_file, kinds
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.patience import ENDLESS, alarm_clock
from tests.runtimes.evm.assembler import assemble


@pytest.mark.slow
def test_only_a_miner_produces_blocks_and_it_is_paid(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        for other in (counter.address, network.accounts[0].native, Address.id(1)):
            with pytest.raises(InvalidInput, match="only a storage miner produces blocks"):
                network.set_producer(other)
        miner = network.create_miner(sectors=1)
        network.set_producer(miner.address)
        before = network.balance(miner.address)
        network.mine()
        # A fifth of the epoch's reward of about 36 FIL for one win (actors.md 6).
        assert 7 * 10**18 < network.balance(miner.address) - before < 8 * 10**18
    with Network(tmp_path, clock=Clock()) as network:
        assert network.producer == miner.address
        network.set_producer(NO_PRODUCER)
        before = network.balance(miner.address)
        network.mine()
        assert network.balance(miner.address) == before


def test_producer_is_named_by_miner_address_or_actor_id() -> None:
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        for named in (miner, miner.address, miner.id, str(miner.address)):
            network.set_producer(NO_PRODUCER)
            network.set_producer(named)
            assert network.producer == miner.address
        for wrong, words in ((5, "only a storage miner produces blocks"), (True, "cannot be"), (-1, "cannot be")):
            with pytest.raises(InvalidInput, match=words):
                network.set_producer(wrong)


@pytest.mark.parametrize("kind", kinds())
def test_producer_gets_fifth_of_epoch_reward_and_all_tips(kind: str) -> None:
    with Network(bundle=None if kind == "own" else data_file(BUNDLE), clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        network.mine()
        reward = network.machine.state_tree.get_actor(REWARD_ACTOR)
        assert reward is not None
        of_the_epoch = int.from_bytes(get_object(network.machine.store, reward.head)[4][1:], "big")
        before = network.balance(miner.address)
        network.send_native(network.accounts[1].native, value=1, gas_limit=10_000_000)
        # By hand, actors.md 6: five blocks are expected of an epoch; the tip is gas limit times premium.
        assert network.balance(miner.address) - before == of_the_epoch // 5 + 10_000_000 * network.rules.fees.premium


def test_snapshot_restores_next_block_producer() -> None:
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        snapshot = network.snapshot()
        network.set_producer(NO_PRODUCER)
        network.mine()
        assert network.revert(snapshot)
        assert network.producer == miner.address


def test_loading_state_resets_block_producer() -> None:
    """The miner's ID may belong to a user's actor in that state, which must not take part in the system's messages."""
    with Network(clock=Clock()) as other, Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        network.mine()
        network.load_state(other.dump_state())
        assert network.producer == NO_PRODUCER


class Rung(BaseException):
    """Exception raised by the alarm, like KeyboardInterrupt, at any instruction of the main thread."""


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_interrupt_mid_block_leaves_chain_unchanged(evm: str) -> None:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Rung

    code = ENDLESS + b"\xfe"  # unlike that of other tests, so that its block takes 30 ms: no compiled region exists yet
    init_code = bytes((0x60, len(code), 0x80, 0x60, 9, 0x3D, 0x39, 0x3D, 0xF3)) + code
    with Network(clock=Clock(), evm=evm) as network:
        contract = network.send(None, 0, init_code).contract_address
        network.automine = False
        sender = network.accounts[0]
        network.submit(sender.sign(transfer(network, network.accounts[1].address, 10**9)).raw())
        network.submit(sender.sign(transfer(network, contract, 9 * 10**9)).raw())
        head, root = network.head, network.machine.root
        with alarm_clock(ring), pytest.raises(Rung):  # noqa: PT012  # the alarm rings in the second statement
            # The alarm repeats: a signal just before the main thread starts to wait for the execution does not end that
            # wait.
            signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
            network.mine()
        assert (network.head, network.machine.root) == (head, root)
        network.mempool = Mempool()
        network.automine = True
        assert network.send(network.accounts[1].address, 1).block_number == head.height + 1


def transfer(network: Network, to: EthAddress | None, gas: int) -> Transaction:
    """Return the next transaction of the first account."""
    fee = 2 * network.base_fee + network.rules.fees.premium
    nonce = network.pending_nonce(network.accounts[0].delegated)
    return Transaction(DYNAMIC_FEE, network.chain_id, nonce, to, 1, b"", gas, fee, network.rules.fees.premium)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_tx_of_sender_turned_contract_mines_no_endless_blocks(rules: str) -> None:
    with Network(rules=rules) as network:
        sender, other, to = network.accounts[:3]
        network.send(to, 1, sender=sender)
        network.automine = False
        stuck = network.submit(_raw(network, sender, to))
        network.set_code(sender, assemble("STOP"))
        network.automine = True
        before = network.block_number
        with alarm_clock(_without_end):
            signal.setitimer(signal.ITIMER_REAL, 60)
            (taken,) = network.submit_together([_raw(network, other, to)])
        assert isinstance(taken, bytes)
        assert network.receipt(taken).succeeded
        assert network.block_number == before + 1
        assert network.find_receipt(stuck) is None


def test_oversized_pending_transaction_is_dropped_with_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Network(rules="ethereum") as network:
        sender, other, to = network.accounts[:3]
        network.automine = False
        large = network.submit(_raw(network, sender, to, gas=10_000_000))
        network.set_block_gas_limit(1_000_000)
        network.automine = True
        small = network.submit(_raw(network, other, to, gas=21_000))
        assert network.receipt(small).succeeded
        with caplog.at_level("WARNING"):
            network.submit(_raw(network, sender, to, gas=21_000))
        assert f"transaction 0x{large.hex()} is dropped: exceeds block gas limit" in caplog.text
        assert network.waiting(large) is None


def _without_end(_: int, __: FrameType | None) -> None:
    raise TimeoutError("blocks without end")


def _raw(network: Network, sender: Account, to: Account, gas: int = 10_000_000) -> bytes:
    """Return the sender's next transaction without value."""
    nonce = network.pending_nonce(sender.delegated)
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to.address, 0, b"", gas, 10**11, 10**5)
    return sender.sign(transaction).raw()
