"""Run the same steps on a network with this project's built-in actors and on one with the official actors.

    python examples/boot.py [--bundle CAR|vN] [--epochs N] [--sectors N]

From genesis, each network creates accounts, a multisig, a payment channel, a contract, a storage miner with a sector, a
deal, and a DataCap transfer. Then it mines 1,000 more epochs, with cron and a block reward in each. Each step prints
the method, its exit code and its return value. The exit status is 1 if the networks differ.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Bundle
from hypervisor.bundles.bundle_library import OWN, actors_version, downloaded_releases, own_bundle_for
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.messages.signatures import sign_secp256k1
from hypervisor.types import DATACAP_ACTOR, INIT_ACTOR, MARKET_ACTOR, VERIFIED_REGISTRY_ACTOR, encode_bigint
from hypervisor.versions.network_versions import newest_with_actors
from localnet import Account, Miner, Network, TransactionFailed, TransactionReceipt
from localnet.contracts.contract import Artifact
from localnet.miners.onboarding import unsealed_cid
from localnet.miners.policy import DATACAP_PER_BYTE, PROVING_PERIOD
from store.codec import decode, encode, link

HERE = Path(__file__).resolve().parent
OFFICIAL = "v18-devnet"
DATA = Path(os.environ.get("FVM_DATA") or HERE.parent.parent / "shared")

FIL = 10**18
INIT, MARKET = Address.id(INIT_ACTOR), Address.id(MARKET_ACTOR)
DATACAP, REGISTRY = Address.id(DATACAP_ACTOR), Address.id(VERIFIED_REGISTRY_ACTOR)
EXEC, PROPOSE, APPROVE, UPDATE_CHANNEL, SETTLE_CHANNEL = 2, 2, 3, 2, 3
DEAL_START, DEAL_EPOCHS = 50_000, 180 * PROVING_PERIOD
SECP256K1 = b"\x01"

Step = tuple[str, int, str]
"""Name of a call, its exit code, and its return data in hex."""


class Boot:
    """A network and the results of the calls to it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.alice, self.bob, self.carol, self.provider = network.accounts[:4]

    def steps(self, epochs: int, sectors: int) -> Iterator[Step]:
        """Execute all steps in order, and yield each result."""
        yield from self.accounts()
        yield from self.multisig()
        yield from self.payment_channel()
        yield from self.contract()
        miner = self.network.create_miner(self.provider, sectors)
        yield self.value(f"storageminer, {sectors} sectors", [miner.id, *state_of(miner)])
        yield from self.deal(miner)
        yield from self.datacap(miner)
        self.network.mine(epochs)
        yield self.value(f"storageminer after {epochs} epochs", state_of(miner))
        yield self.send("multisig.Propose after mining", self.wallet, PROPOSE, self.payment(2))
        yield self.value("counter after mining", self.network.contract(self.counter, self.artifact).call("number"))

    # --- the parts ----------------------------------------------------------------------------------------------

    def accounts(self) -> Iterator[Step]:
        """Create an account by sending value to an unused f1 address."""
        self.newcomer = Account.from_key(bytes(31) + b"\x07")
        yield self.send("send to a new f1 address", self.newcomer.native, 0, value=FIL)
        yield self.value("its balance", self.network.balance(self.newcomer.native))

    def multisig(self) -> Iterator[Step]:
        """Create a multisig with two signers and a threshold of two."""
        signers = [self.alice.native.to_bytes(), self.bob.native.to_bytes()]
        step, self.wallet = self.create("multisig", [signers, 2, 0, 0], value=5 * FIL)
        yield step
        yield self.send("multisig.Propose", self.wallet, PROPOSE, self.payment(1))
        yield self.send("multisig.Approve", self.wallet, APPROVE, encode([0, b""]), sender=self.bob)

    def payment(self, amount: int) -> bytes:
        return encode([self.newcomer.native.to_bytes(), encode_bigint(amount * FIL), 0, b""])

    def payment_channel(self) -> Iterator[Step]:
        """Create a payment channel from Alice to Bob, redeem a voucher, and start the settlement."""
        parties = [self.alice.native.to_bytes(), self.bob.native.to_bytes()]
        step, channel = self.create("paymentchannel", parties, value=2 * FIL)
        yield step
        voucher: list[Any] = [channel.to_bytes(), 0, 0, b"", None, 0, 1, encode_bigint(FIL), 0, []]
        signature = SECP256K1 + sign_secp256k1(self.alice.private_key, encode([*voucher, None]))
        shown = encode([[*voucher, signature], b""])
        yield self.send("paymentchannel.UpdateChannelState", channel, UPDATE_CHANNEL, shown, sender=self.bob)
        yield self.send("paymentchannel.Settle", channel, SETTLE_CHANNEL)

    def contract(self) -> Iterator[Step]:
        """Deploy and call a contract compiled from Solidity."""
        self.artifact = Artifact.load(HERE / "solidity" / "artifacts" / "Counter.json")
        deployed = self.network.send(None, 0, self.artifact.bytecode)
        yield receipt_step("eam.CreateExternal", deployed)
        assert deployed.contract_address is not None, "a contract has an address"
        self.counter = deployed.contract_address
        yield self.value("the contract's address", self.counter)
        counter = self.network.contract(self.counter, self.artifact)
        yield receipt_step("evm.InvokeEVM increment", counter.send("increment"))
        yield self.value("counter", counter.call("number"))

    def deal(self, miner: Miner) -> Iterator[Step]:
        """Fund both parties' market balances, publish a deal that the client has signed, and read it."""
        client, provider = self.carol.native.to_bytes(), miner.address.to_bytes()
        for name, party, payer in (("client", client, self.carol), ("provider", provider, self.provider)):
            add = method_number("AddBalance")
            yield self.send(f"storagemarket.AddBalance {name}", MARKET, add, encode(party), FIL, payer)
        piece = [link(unsealed_cid(b"a file")), 2048, False]
        amounts = [encode_bigint(amount) for amount in (1000, FIL // 2, 0)]
        proposal = [*piece, client, provider, "a file", DEAL_START, DEAL_START + DEAL_EPOCHS, *amounts]
        signature = SECP256K1 + sign_secp256k1(self.carol.private_key, encode(proposal))
        publish, params = method_number("PublishStorageDeals"), encode([[[proposal, signature]]])
        yield self.send("storagemarket.PublishStorageDeals", MARKET, publish, params, sender=self.provider)
        for name in ("GetDealClient", "GetDealTerm", "GetDealTotalPrice"):
            yield self.send(f"storagemarket.{name}", MARKET, method_number(name), encode(0))

    def datacap(self, miner: Miner) -> Iterator[Step]:
        """Allocate a verified client's DataCap to a piece; from nv29 on, granting DataCap must fail."""
        try:
            self.network.grant_datacap(self.bob.native, 4096)
        except InvalidInput:  # the verified registry is frozen
            yield self.value("DataCap is granted", False)
            return
        balance, client = method_number("Balance"), encode(self.bob.native.to_bytes())
        yield self.send("datacap.Balance", DATACAP, balance, client)
        terms = [DEAL_EPOCHS, 2 * DEAL_EPOCHS, DEAL_START]
        allocation = [miner.id, link(unsealed_cid(b"another file")), 1024, *terms]
        amount = encode_bigint(1024 * DATACAP_PER_BYTE)
        params = encode([REGISTRY.to_bytes(), amount, encode([[allocation], []])])
        yield self.send("datacap.Transfer", DATACAP, method_number("Transfer"), params, sender=self.bob)
        yield self.send("datacap.Balance", DATACAP, balance, client)

    # --- one step -----------------------------------------------------------------------------------------------

    def create(self, name: str, constructor: list[Any], value: int) -> tuple[Step, Address]:
        """Create an actor through Init; return the step and the actor's robust address."""
        code = link(self.network.machine.manifest.code(name))
        step = self.send(f"init.Exec {name}", INIT, EXEC, encode([code, encode(constructor)]), value)
        return step, Address.from_bytes(decode(bytes.fromhex(step[2]))[0])

    def send(
        self,
        name: str,
        to: Address,
        method: int,
        params: bytes = b"",
        value: int = 0,
        sender: Account | None = None,
    ) -> Step:
        """Send a message from an account's native address (default: Alice's)."""
        try:
            receipt = self.network.send_native(
                to, method, params, value=value, sender=sender or self.alice, gas_limit=5_000_000_000
            )
        except TransactionFailed as failure:
            receipt = failure.receipt
        return receipt_step(name, receipt)

    @staticmethod
    def value(name: str, found: Any) -> Step:
        """Return a step for a value that was read without a message."""
        return name, 0, encode(found).hex()


def state_of(miner: Miner) -> list[Any]:
    """Return the miner's power and pledge, and the status of each sector."""
    return [*miner.power(), miner.pledge(), [miner.sector(number).status for number in miner.sectors]]


def receipt_step(name: str, receipt: TransactionReceipt) -> Step:
    return name, receipt.exit_code, receipt.return_data.hex()


def official_bundle() -> str:
    """Return a newer downloaded release, else the bundle file in the test data, else the name of the release."""
    file = DATA / "bundles" / f"{OFFICIAL}.car"
    newer = [name for name in downloaded_releases() if name > OFFICIAL and name.endswith("-devnet")]
    return newer[-1] if newer else str(file) if file.is_file() else OFFICIAL


def boot(bundle: str, version: int | None, epochs: int, sectors: int) -> list[Step]:
    """Execute all steps on a new network, and print each result."""
    steps = []
    with Network(bundle=bundle, network=version, clock=lambda: 1_700_000_000) as network:
        for name, exit_code, returned in Boot(network).steps(epochs, sectors):
            print(f"  {name:36} exit {exit_code}  return {returned or '-'}", flush=True)
            steps.append((name, exit_code, returned))
    return steps


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all steps succeed with equal results on both networks, else 1; 2 for an unreadable bundle."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default=official_bundle(), help="the official actors (default: %(default)s)")
    options.add_argument(
        "--epochs", type=int, default=1000, help="epochs to mine after the last step (default: %(default)s)"
    )
    options.add_argument("--sectors", type=int, default=1, help="sectors of the miner (default: %(default)s)")
    chosen = options.parse_args(arguments)
    try:
        manifest = Bundle.open(chosen.bundle).manifest  # fail before the first network runs for a minute
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    actors = actors_version(manifest)
    row = None if actors is None else newest_with_actors(actors)
    version, own_bundle = (None, OWN) if actors is None or row is None else (row.number, own_bundle_for(actors) or OWN)
    print("this project's actors")
    own = boot(own_bundle, version, chosen.epochs, chosen.sectors)
    print(f"the official actors, {Path(chosen.bundle).name}")
    official = boot(chosen.bundle, version, chosen.epochs, chosen.sectors)
    different = [pair for pair in zip(own, official, strict=True) if pair[0] != pair[1]]
    for ours, theirs in different:
        print(f"different: {ours} and {theirs}")
    failed = [step for step in own if step[1] != 0]
    print(f"{len(own)} steps, {len(different)} different, {len(failed)} failed")
    return int(bool(different or failed))


if __name__ == "__main__":
    sys.exit(main())
