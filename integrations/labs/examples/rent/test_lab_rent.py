"""A contract and a native actor pay rent for their state; each is archived and then restored by a proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import to_filecoin
from hypervisor import Address, fil
from hypervisor.state.state_tree import archived_actor
from hypervisor.types import ActorID
from hypervisor_labs.rent import proof_of
from hypervisor_tools.cli.main import app
from localnet import Contract, Network, TransactionFailed
from localnet.ledger.records import TransactionReceipt
from store.cid import Cid, parse_cid
from store.codec import decode_strict, encode

HERE = Path(__file__).parent
RULES = "lab:rent=own/1000000/10/5"
"""Rent of a million attoFIL per byte and epoch, paid for ten epochs in advance, with five epochs of grace."""
RENT = Address.id(ActorID(21))
PAY, RESURRECT = 2, 4
KEEP, FORWARD, COUNT = 2, 3, 4
ARCHIVED = 15


RENT_ABI = [
    {
        "type": "function", "name": name, "stateMutability": "view" if name == "look" else "payable",
        "inputs": [{"name": field, "type": "bytes"} for field in fields],
        "outputs": [{"name": "", "type": kind} for kind in answer],
    }
    for name, fields, answer in (
        ("look", ("actor",), ("uint64", "uint256", "uint64", "uint64")),
        ("resurrect", ("actor", "proof"), ("uint64",)),
    )
]  # fmt: skip


@dataclass(slots=True)
class Tenants:
    """The same actor in both runtimes, on one network."""

    network: Network
    contract: Contract
    native: ActorID

    @property
    def address(self) -> Address:
        """The contract's f410 address."""
        return to_filecoin(self.contract.address)

    def keep(self, chunk: bytes) -> int:
        """Call the native actor's method `Keep`; return the exit code."""
        return self.native_exit(KEEP, encode([chunk]))

    def native_exit(self, method: int, params: bytes = b"") -> int:
        """Send a message to the native actor; return the exit code."""
        return exit_of(lambda: self.ask(method, params))

    def ask(self, method: int, params: bytes) -> TransactionReceipt:
        """Send a message to the native actor; return its receipt."""
        sender = self.network.accounts[0]
        return self.network.send_native(Address.id(self.native), method, params, sender=sender, gas_limit=10**9)


def exit_of(send: Callable[[], TransactionReceipt]) -> int:
    """Call `send`, and return the exit code of its message."""
    try:
        return send().exit_code
    except TransactionFailed as failed:
        return failed.exit_code


def tenants(network: Network) -> Tenants:
    contract = network.deploy(HERE / "Tenant.json")
    code = network.machine.install((HERE / "tenant.wasm").read_bytes())
    native = network.machine.create(code, value=fil(5)).id
    network.chain.keep_changes()
    network.send(contract.address, fil(5))
    return Tenants(network, contract, native)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Tenants]:
    with Network(tmp_path / "chain", rules=RULES) as network:
        yield tenants(network)


def money(amount: int) -> bytes:
    """Encode an amount in attoFIL as the bytes of a CBOR big integer."""
    return b"\0" + amount.to_bytes(16, "big").lstrip(b"\0") if amount else b""


def rent_of(here: Tenants, address: Address) -> tuple[int, int, int, int]:
    """Return the rent actor's record of an actor: size, deposit, due epoch and archival epoch."""
    rent = here.network.contract("0xff00000000000000000000000000000000000015", {"abi": RENT_ABI, "bytecode": "0x"})
    size, deposit, due, since = rent.call("look", address.to_bytes())
    return size, deposit, due, since


def cli(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_expired_contract_is_collected_and_restored_by_proof(here: Tenants, tmp_path: Path) -> None:
    network, contract, chain = here.network, here.contract, tmp_path / "chain"
    contract.send("keep", 5)
    contract.send("payRent", 10**11)  # two periods of some 2.4 KB
    pay = encode([RENT.to_bytes(), PAY, encode([b""]), money(10**12)])
    assert here.native_exit(FORWARD, pay) == 0
    size, deposit, due, since = rent_of(here, here.address)
    assert (2_000 < size < 3_000, deposit, since) == (True, 10**11 - size * 10**7, 0)
    network.mine(due - network.block_number)
    while not rent_of(here, here.address)[3]:
        network.mine(10)
    assert here.keep(b"the native actor has paid more") == 0

    # callers in both runtimes see that the contract is archived
    assert exit_of(lambda: contract.send("keep", 1, gas_limit=10**9)) == ARCHIVED
    asked = here.ask(FORWARD, encode([here.address.to_bytes(), COUNT, b"", b""]))
    assert decode_strict(asked.return_data) == [ARCHIVED]

    # the blocks of the archived state are still stored: export them as the proof
    network.close()
    shown = cli("inspect", chain, str(here.address))
    assert "archived since epoch" in shown
    root = cli("inspect", chain, f"{here.address}/state/root").strip()
    cli("car", "export", chain, tmp_path / "proof.car", "--root", root)
    cli("gc", chain, "--states", 1)
    with Network(chain) as network:
        here.network, here.contract = network, network.contract(contract.address, HERE / "Tenant.json")
        assert not has(network, parse_cid(root))
        proof = (tmp_path / "proof.car").read_bytes()
        value = size * 10**7
        refused = resurrect(here, proof[:-1], value)
        assert refused == 16
        assert resurrect(here, proof, value - 1) == 19
        assert resurrect(here, proof, value) == 0
        assert has(network, parse_cid(root))
        assert here.contract.call("count") == 5
        assert here.contract.send("keep", 1).succeeded
        assert rent_of(here, here.address)[1:] == (0, network.block_number + 9, 0)


def resurrect(here: Tenants, proof: bytes, value: int) -> int:
    """Send the rent actor a proof of the contract's state; return the exit code."""
    params = encode([here.address.to_bytes(), proof])
    sender = here.network.accounts[1]
    return exit_of(
        lambda: here.network.send_native(RENT, RESURRECT, params, sender=sender, value=value, gas_limit=10**9)
    )


def has(network: Network, root: Cid) -> bool:
    return network.machine.store.has(root)


@pytest.mark.slow
def test_contract_restores_archived_native_actor(here: Tenants) -> None:
    network, contract = here.network, here.contract
    for chunk in (b"one", b"two" * 100):
        assert here.keep(chunk) == 0
    pay = encode([RENT.to_bytes(), PAY, encode([b""]), money(1)])
    assert here.native_exit(FORWARD, pay) == 0, "less than the rent: the actor is archived after five epochs of grace"
    network.mine(5)
    assert here.keep(b"three") == ARCHIVED
    network.send_native(Address.id(here.native), 0, b"", sender=network.accounts[0], value=7)
    assert network.balance(Address.id(here.native)) == fil(5) + 7, "an archived actor receives value"

    size, _, _, since = rent_of(here, Address.id(here.native))
    assert since == network.block_number - 2
    state = network.machine.actor(Address.id(here.native))
    assert state is not None
    gone = archived_actor(network.machine.store, state)
    assert gone is not None
    calldata = ContractInterface(RENT_ABI).encode_call(
        "resurrect", Address.id(here.native).to_bytes(), proof_of(network.machine.store, gone.root)
    )
    rent = contract.send("forward", "0xff00000000000000000000000000000000000015", size * 10**7, calldata)
    assert rent.succeeded
    assert here.keep(b"three") == 0
