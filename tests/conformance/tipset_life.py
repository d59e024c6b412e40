"""A simulated network over many epochs, determined by a seed: the source of the corpus of tipset vectors.

It contains transfers between all kinds of senders and receivers, contracts that are deployed, called and fail,
multisigs, payment channels, market balances and DataCap. Miners are created, pre-commit, prove and miss deadlines.
There are null rounds, rising fees, and messages that fail in every layer. All messages pass the network's mempool and
block production.
"""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.actors.binding import Call
from bridge.bindings import datacap, init, multisig, paymentchannel, storagemarket, storageminer, storagepower
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.errors import HypervisorError
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import (
    CRON_ACTOR,
    DATACAP_ACTOR,
    INIT_ACTOR,
    MARKET_ACTOR,
    POWER_ACTOR,
    REWARD_ACTOR,
    Gas,
    MethodNumber,
    TokenAmount,
)
from localnet import Account, Network
from localnet.ledger.genesis import GenesisOptions
from localnet.miners import onboarding
from localnet.miners.miner import WINDOW_PROOF, Miner
from store.codec import encode
from tests.localnet.conftest import ARTIFACTS, Clock

_ROOM: Final = 80_000_000
"""Gas limit of a message that is executed to its end."""
_INVOKE_CONTRACT: Final = 3_844_450_837
_BLS_SECRET: Final = 7
_SECTORS: Final = 2


class Life:
    """A network and its random messages; the seed depends on the network version."""

    def __init__(self, folder: Path, version: int, bundle: Path) -> None:
        genesis = GenesisOptions(name="tipsets")
        self.clock = Clock(1_700_000_000 + version)
        self.network = Network(
            folder, bundle=bundle, network=version, evm="official", clock=self.clock, genesis=genesis
        )
        self.random = Random(version)
        self.contracts: list[Any] = []
        self.multisigs: list[tuple[Address, int]] = []
        self.channels: list[Address] = []
        self.miner: Miner | None = None
        self.bls = 0

    def run(self, epochs: int) -> None:
        """Make a number of tipsets, and those that a miner's sectors take."""
        with self.network as network:
            self.miner = network.create_miner(network.accounts[9], 0)
            network.set_producer(self.miner.address)
            self.fund_bls()
            network.automine = False
            for number in range(epochs):
                if number % 9 == 5:
                    network.set_next_base_fee(self.random.choice([100, 1_000, 250_000]))
                for _ in range(self.random.choice([0, 1, 2, 3, 3, 4, 6])):
                    self.act()
                if number == epochs // 3:
                    self.pre_commit()
                self.mine()
                if number == epochs // 3:
                    network.mine(null_rounds=onboarding.PROVE_COMMIT_DELAY)
                    self.prove()
                    self.mine()

    def mine(self) -> None:
        self.clock.now += 30
        null_rounds = self.random.choice([0, 0, 0, 0, 0, 1, 1, 2, 4])
        self.network.mine(null_rounds=null_rounds)
        tipset = self.network.head
        for receipt in self.network.chain.index.receipts(tipset):
            self.learn(receipt)

    def learn(self, receipt: Any) -> None:
        """Add contracts and actors created by a tipset to the targets of later messages."""
        message = receipt.execution.message.message
        if receipt.contract_address is not None and receipt.succeeded:
            self.contracts.append(receipt.contract_address)
        if message.to == Address.id(INIT_ACTOR) and receipt.succeeded:
            made = init.ExecReturn.decode(receipt.execution.receipt.return_data).robust_address
            if message.value == 3:
                self.channels.append(made)
            else:
                self.multisigs.append((made, 0))

    # --- what is sent -----------------------------------------------------------------------------------------

    def act(self) -> None:
        actions: list[Callable[[], None]] = [
            self.transfer,
            self.transfer,
            self.eth_transfer,
            self.deploy,
            self.deploy,
            self.call_contract,
            self.call_contract,
            self.call_contract,
            self.call_contract_natively,
            self.make_multisig,
            self.use_multisig,
            self.use_multisig,
            self.make_channel,
            self.use_channel,
            self.use_market,
            self.ask_datacap,
            self.use_miner,
            self.make_miner,
            self.fail,
            self.fail,
            self.sign_with_bls,
        ]
        self.random.choice(actions)()

    def account(self) -> Account:
        return self.random.choice(self.network.accounts[:9])

    def native(
        self, to: Address, call: Call[Any] | int = 0, value: int = 0, gas: int = _ROOM, params: bytes = b""
    ) -> None:
        sender = self.account()
        method = call if isinstance(call, int) else call.method
        message = Message(
            to,
            sender.native,
            nonce=self.network.pending_nonce(sender.native),
            value=TokenAmount(value),
            method=MethodNumber(method),
            params=params if isinstance(call, int) else call.params,
            gas_limit=Gas(gas),
            gas_fee_cap=TokenAmount(3 * self.network.base_fee + 200_000),
            gas_premium=TokenAmount(self.random.choice([100_000, 150_000])),
        )
        self.network.submit_native(sender.sign_native(message))

    def eth(self, to: Any, data: bytes = b"", value: int = 0, gas: int = _ROOM) -> None:
        sender = self.account()
        transaction = Transaction(
            type=DYNAMIC_FEE,
            chain_id=self.network.chain_id,
            nonce=self.network.pending_nonce(sender.delegated),
            to=to,
            value=value,
            data=data,
            gas_limit=gas,
            max_fee=3 * self.network.base_fee + 500_000,
            max_priority_fee=self.random.choice([100_000, 200_000]),
        )
        self.network.submit(sender.sign(transaction).raw())

    def transfer(self) -> None:
        fresh = Address.secp256k1(b"\x04" + self.random.randbytes(64))
        placeholder = Address.delegated(10, self.random.randbytes(20))
        bls = Address(Protocol.BLS, self.random.randbytes(48))
        choices = [self.account().native, self.account().delegated, fresh, placeholder, bls, Address.id(99)]
        self.native(self.random.choice(choices), value=self.random.choice([0, 1, 10**18]))

    def eth_transfer(self) -> None:
        self.eth(self.random.choice([self.account().address, self.random.randbytes(20)]), value=5)

    def deploy(self) -> None:
        name = self.random.choice(["Counter", "Counter", "Inbox", "Recursion"])
        code = json.loads((ARTIFACTS / f"{name}.json").read_text())["bytecode"]
        code = code["object"] if isinstance(code, dict) else code
        self.eth(None, bytes.fromhex(code.removeprefix("0x")), gas=400_000_000)

    def call_contract(self) -> None:
        if self.contracts:
            selectors = ["d09de08a", "8381f58a", "12345678", "3ccfd60b"]  # increment(), number(), two unknown ones
            data = bytes.fromhex(self.random.choice(selectors))
            self.eth(self.random.choice(self.contracts), data, gas=self.random.choice([_ROOM, _ROOM, 2_000_000]))

    def call_contract_natively(self) -> None:
        if self.contracts:
            to = Address.delegated(10, bytes(self.random.choice(self.contracts)))
            self.native(to, _INVOKE_CONTRACT, params=encode(bytes.fromhex("d09de08a")))

    def make_multisig(self) -> None:
        signers = [one.native for one in self.network.accounts[:3]]
        parts = multisig.constructor(signers, self.random.choice([1, 2]), 0, 0)
        code = self.network.machine.manifest.code("multisig")
        self.native(Address.id(INIT_ACTOR), init.exec(code, parts.params), value=10**15)

    def use_multisig(self) -> None:
        if not self.multisigs:
            return
        place = self.random.randrange(len(self.multisigs))
        wallet, proposed = self.multisigs[place]
        if self.random.random() < 0.6:
            self.native(wallet, multisig.propose(self.account().native, 10**12, 0, b""))
            self.multisigs[place] = wallet, proposed + 1
        else:
            number = self.random.randrange(proposed + 1)
            call = multisig.approve if self.random.random() < 0.7 else multisig.cancel
            self.native(wallet, call(number, b""))

    def make_channel(self) -> None:
        ends = paymentchannel.constructor(self.account().native, self.account().native)
        code = self.network.machine.manifest.code("paymentchannel")
        self.native(Address.id(INIT_ACTOR), init.exec(code, ends.params), value=3)

    def use_channel(self) -> None:
        if self.channels:
            call = paymentchannel.settle() if self.random.random() < 0.5 else paymentchannel.collect()
            self.native(self.random.choice(self.channels), call)

    def use_market(self) -> None:
        owner = self.account().native
        if self.random.random() < 0.6:
            self.native(Address.id(MARKET_ACTOR), storagemarket.add_balance(owner), value=10**16)
        else:
            self.native(Address.id(MARKET_ACTOR), storagemarket.withdraw_balance(owner, 10**15))

    def ask_datacap(self) -> None:
        calls = [datacap.name(), datacap.total_supply(), datacap.increase_allowance(self.account().native, 10**18)]
        self.native(Address.id(DATACAP_ACTOR), self.random.choice([*calls, datacap.burn(5)]))

    # --- miners -----------------------------------------------------------------------------------------------

    def make_miner(self) -> None:
        owner, worker = self.account().native, self.account().native
        kind = self.random.choice([WINDOW_PROOF, WINDOW_PROOF, 99])
        call = storagepower.create_miner(owner, worker, kind, b"peer", [])
        self.native(Address.id(POWER_ACTOR), call, value=10**18, gas=200_000_000)

    def use_miner(self) -> None:
        assert self.miner is not None
        calls = [
            storageminer.change_peer_id(self.random.randbytes(8)),
            storageminer.change_multiaddrs([b"\x04\x7f\x00\x00\x01"]),
            storageminer.withdraw_balance(10**10),
            storageminer.get_available_balance(),
            storageminer.get_owner(),
            storageminer.terminate_sectors([]),
        ]
        self.of_owner(self.random.choice(calls))

    def of_owner(self, call: Call[Any]) -> None:
        assert self.miner is not None
        owner = self.miner.owner
        message = Message(
            self.miner.address,
            owner.native,
            nonce=self.network.pending_nonce(owner.native),
            method=call.method,
            params=call.params,
            gas_limit=Gas(500_000_000),
            gas_fee_cap=TokenAmount(3 * self.network.base_fee + 200_000),
            gas_premium=TokenAmount(100_000),
        )
        self.network.submit_native(owner.sign_native(message))

    def pre_commit(self) -> None:
        assert self.miner is not None
        self.sectors = [onboarding.NewSector(number, None) for number in range(_SECTORS)]
        until = self.network.block_number + 540 * 2880
        self.of_owner(
            onboarding.pre_commit(self.miner.id, WINDOW_PROOF, self.sectors, self.network.block_number, until)
        )

    def prove(self) -> None:
        self.of_owner(onboarding.prove_commit(self.sectors))

    # --- failures and signatures ------------------------------------------------------------------------------

    def fail(self) -> None:
        ways: list[Callable[[], None]] = [
            lambda: self.native(self.account().native, 99),
            lambda: self.native(Address.id(CRON_ACTOR), 2),
            lambda: self.native(Address.id(REWARD_ACTOR), 2, params=b"\x80"),
            lambda: self.native(Address.id(77_777), value=1),
            lambda: self.native(Address.id(INIT_ACTOR), 2, params=b"\xff"),
            lambda: self.native(Address.id(POWER_ACTOR), storagepower.miner_count(), gas=900_000),
            lambda: self.native(Address.id(MARKET_ACTOR), 9, value=7),
            lambda: self.eth(None, b"\xfe\x00", gas=_ROOM),
            lambda: self.eth(None, b"\xef\x00", gas=_ROOM),
        ]
        self.random.choice(ways)()

    def bls_key(self) -> Address:
        from py_ecc.bls.ciphersuites import G2Basic

        return Address(Protocol.BLS, bytes(G2Basic.SkToPk(_BLS_SECRET)))

    def fund_bls(self) -> None:
        self.network.send_native(self.bls_key(), value=10**20, sender=self.network.accounts[0])

    def sign_with_bls(self) -> None:
        """Return True for some three messages per chain, since BLS signing takes a second."""
        from py_ecc.bls.ciphersuites import G2Basic

        if self.bls >= 3:
            return
        self.bls += 1
        key = self.bls_key()
        message = Message(
            self.account().native,
            key,
            nonce=self.network.pending_nonce(key),
            value=TokenAmount(3),
            gas_limit=Gas(_ROOM),
            gas_fee_cap=TokenAmount(3 * self.network.base_fee + 200_000),
            gas_premium=TokenAmount(100_000),
        )
        signature = Signature(SignatureType.BLS, bytes(G2Basic.Sign(_BLS_SECRET, message.cid())))
        try:
            self.network.submit_native(SignedMessage(message, signature))
        except HypervisorError:  # the mempool has enough of this sender
            return
