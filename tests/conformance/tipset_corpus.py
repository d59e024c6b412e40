"""Generator of the corpus of tipset vectors: extracted tipsets of simulated networks, with the reference's results.

`python -m tests.conformance.tipset_corpus` regenerates the vectors, passes them (and some of class message from the
same chains) to tests/oracle, and compares its results with this machine's and with the committed ones (`make
oracle-vectors`). With `--write` it writes the files. Committed results are those of the reference. Without Rust or the
official bundles it prints NOT RUN and returns exit code 2.

It contains transfers between all kinds of senders and receivers, contracts that are deployed, called and fail,
multisigs, payment channels, market balances and DataCap. Miners are created, pre-commit, prove and miss deadlines.
There are null rounds, rising fees, and messages that fail in every layer. All messages pass the network's mempool and
block production.
"""

import argparse
import copy
import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
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
from hypervisor_tools.laboratory.vectors.conformance import read_vectors
from hypervisor_tools.laboratory.vectors.extract import extract_message, extract_tipset, vector_of
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet import Account, Network
from localnet.ledger.genesis import GenesisOptions
from localnet.ledger.headers import IncludedMessage
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.miners import onboarding
from localnet.miners.miner import WINDOW_PROOF, Miner
from localnet.replay.folder_source import FolderSource
from localnet.replay.sources import machine_for, read_past_tipset
from localnet.replay.tipset_execution import MinedBlock
from store.codec import encode
from store.rocks.database import RocksStore
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, differences
from tests.conformance.oracle_messages import Reference
from tests.conftest import fvm_data
from tests.golden_cases import GOLDEN, VERSIONS
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
        message = receipt.candidate.bare
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


TIPSETS: Final = GOLDEN / "tipsets"
EPOCHS: Final = 34
"""Number of tipsets with random messages per chain; a miner adds more."""
MESSAGES: Final = 12
"""Number of messages per chain that become vectors of class message, evenly spaced."""
SOURCE: Final = "answers:ref-fvm, crate fvm 4.8.4"
SEVERAL: Final = 4
"""Number of tipsets with several blocks per chain."""
MIN_MESSAGES: Final = 3
FIRST: Final = 2
"""Tipset after which a miner's deposit is reported by hand (`localnet.miners.miner`)."""
ACTORS: Final = {21: 12, 22: 13, 23: 14, 24: 15, 25: 16, 26: 16, 27: 17, 28: 18, 29: 18}
"""Actors version of each network version, as in tests/oracle; there is no official bundle of v19."""

Vector = dict[str, Any]


def bundle_of(version: int) -> Path:
    """Return the bundle of a network version with 2 KiB sectors. Raises CannotRun."""
    data = fvm_data()
    if data is None:
        raise CannotRun("the official bundles are missing (FVM_DATA)")
    return data / "bundles" / f"v{ACTORS[version]}-testing-fake-proofs.car"


def file_of(version: int) -> Path:
    """Return the folder of a network version's vectors."""
    return TIPSETS / f"nv{version}.jsonl.gz"


def blocks_file_of(version: int) -> Path:
    """Return the folder of vectors of several blocks, which no network of one process produces."""
    return TIPSETS / f"blocks-nv{version}.jsonl.gz"


@dataclass(frozen=True, slots=True)
class GeneratedVectors:
    """Vectors of one chain: its tipsets, tipsets of several blocks made from its messages, and some message vectors."""

    tipsets: list[Vector]
    blocks: list[Vector]
    messages: list[Vector]


def generate(version: int) -> GeneratedVectors:
    """Generate the vectors of a chain at a network version. Raises CannotRun."""
    bundle = bundle_of(version)
    with TemporaryDirectory(prefix="life-") as name:
        folder = Path(name) / "chain"
        Life(folder, version, bundle).run(EPOCHS)
        bundles = BundleFolder(bundle.parent)
        source = FolderSource(folder)
        try:
            tipsets = [*_tipsets(folder)]
            messages = [f"0x{one.hex()}" for tipset in tipsets for one in tipset.transactions]
            step = max(1, len(messages) // MESSAGES)
            return GeneratedVectors(
                [extract_tipset(source, bundles, tipset.height).vector for tipset in tipsets if tipset.height != FIRST],
                [*_of_several_blocks(source, bundles, tipsets)],
                [extract_message(source, bundles, one).vector for one in messages[::step]],
            )
        finally:
            source.close()


def _tipsets(folder: Path) -> Iterator[Tipset]:
    with RocksStore.open(folder, read_only=True) as store:
        index = ChainIndex(store)
        for height in range(1, index.head + 1):
            found = index.at(height)
            if isinstance(found, Tipset):
                yield found


def _of_several_blocks(source: FolderSource, bundles: BundleFolder, tipsets: list[Tipset]) -> Iterator[Vector]:
    """Generate tipsets of three blocks: the second repeats messages of the first, the third has one with a penalty."""
    last = read_past_tipset(source, source.tipset_at(tipsets[-1].height))
    machine = machine_for(source, last)
    miners = [
        Address.id(actor)
        for actor, state in sorted(machine.state_tree.actors())
        if machine.manifest.name_of(state.code) == "storageminer"
    ]
    full = [tipset for tipset in tipsets if len(tipset.transactions) >= MIN_MESSAGES]
    for tipset in full[-SEVERAL:]:
        past = read_past_tipset(source, source.tipset_at(tipset.height))
        (block,) = past.work.blocks
        half = len(block.messages) // 2
        last_one = block.messages[-1].message
        early = replace(last_one, nonce=last_one.nonce + 7)  # executed too early: its producer owes a penalty
        stray = IncludedMessage(early, early.cid(), early.chain_length())
        there = [miner for miner in miners if machine_for(source, past).actor(miner) is not None]
        first, *others = there[-3:]
        blocks = (
            MinedBlock(first, 1, block.messages[: half + 1]),
            MinedBlock(others[0] if others else first, 3, block.messages[half - 1 :]),
            MinedBlock(others[-1] if others else first, 2, (stray,)),
        )
        work = replace(past.work, blocks=blocks)
        yield vector_of(source, bundles, replace(past, work=work), f"blocks-{tipset.height}").vector


def with_reference_results(reference: Reference, vector: Vector) -> Vector:
    """Return the vector with the reference's results instead of ours, without error texts."""
    reference.ask(vector)
    (answer,) = reference.answers()
    found = copy.deepcopy(vector)
    found["postconditions"] = {**answer}
    return found


def compare(reference: Reference, version: int, write: bool) -> tuple[int, list[str]]:
    """Return the number of a version's vectors that were executed, and the differences, as sentences."""
    found = generate(version)
    problems: list[str] = []
    count = 0

    def answers(vectors: list[Vector]) -> list[Vector]:
        nonlocal count, problems
        theirs = [with_reference_results(reference, vector) for vector in vectors]
        for answer, vector in zip(theirs, vectors, strict=True):
            name = vector["_meta"]["id"]
            problems += [f"{name}: {words}" for words in differences(answer, vector, "the reference's answer")]
        count += len(vectors)
        return theirs

    for path, vectors in ((file_of(version), found.tipsets), (blocks_file_of(version), found.blocks)):
        published = [_published(vector) for vector in answers(vectors)]
        if write:
            write_vectors(path, published)
        problems += [f"{path.name}: {words}" for words in differences(published, [*read_vectors(path)])]
    answers(found.messages)
    return count, problems


def _published(vector: Vector) -> Vector:
    found = copy.deepcopy(vector)
    found["_meta"]["gen"].append({"source": SOURCE})
    return found


def write_vectors(path: Path, vectors: list[Vector]) -> None:
    """Write a file of golden vectors, one per line."""
    text = "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def results_of(vectors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return all receipts of vectors, including those of reward and cron messages."""
    return [receipt for vector in vectors for receipt in vector["postconditions"]["receipts"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files anew")
    parser.add_argument("--only", type=int, choices=VERSIONS, help="one network version")
    chosen = parser.parse_args()
    problems: list[str] = []
    count = 0
    try:
        with Reference() as reference:
            for version in VERSIONS if chosen.only is None else [chosen.only]:
                number, found = compare(reference, version, chosen.write)
                count, problems = count + number, problems + found
                print(f"nv{version}: {number} vectors, {len(found)} differences")
    except CannotRun as error:
        print(f"NOT RUN: {error}")
        return NOT_RUN
    for words in problems[:50]:
        print(words)
    print(f"{count} vectors answered by the reference, {len(problems)} differences")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
