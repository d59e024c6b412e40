"""Lab `rent`: archived states, their proofs, and money.

- Archived actors in the explorer, JSON-RPC and the command line, before and after their blocks are collected.
- Lab `rent`: valid and invalid proofs of a state, and sizes of states.
- Failing refunds (lab `rent`): the debt stays with the rent actor.
"""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import SET_CODE, Transaction
from hypervisor import fil
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.state.state_tree import ArchivedActor, archived_actor
from hypervisor.types import METHOD_SEND
from hypervisor_labs.rent import (
    BLOCK_BYTES,
    MAX_PROOF,
    MAX_PROVEN,
    OPT_OUT,
    PAY,
    RENT,
    STATE_BLOCKS,
    ProofRefused,
    collect,
    proof_of,
    proven_blocks,
    size_of,
)
from lab_tests.rent import EXAMPLE, car
from lab_tests.test_rent import GRACE, PERIOD, RATE, RENT_ADDRESS, Stage
from localnet import Network
from localnet.accounts import Account
from localnet.errors import TransactionFailed
from localnet.rpc.node import Node
from store.blocks.memory import MemoryStore
from store.car.files import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of, show
from store.codec import encode, link
from tests.command import run
from tests.localnet.explorer.conftest import Visitor
from tests.localnet.rpc.conftest import Client

RULES = "lab:rent=all/1000000/10/5"


@pytest.fixture
def expired(tmp_path: Path) -> tuple[Path, Address, Address, ArchivedActor]:
    """Create a folder with an archived contract and an archived native actor, after a garbage collection."""
    with Network(tmp_path / "chain", rules=RULES) as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        contract.send("keep", 2)
        code = network.machine.install((EXAMPLE / "tenant.wasm").read_bytes())
        native = Address.id(network.machine.create(code, value=fil(1)).id)
        network.chain.keep_changes()
        network.mine(10)
        address = to_filecoin(contract.address)
        state = network.machine.actor(address)
        assert state is not None
        gone = archived_actor(network.machine.store, state)
        assert gone is not None
        assert network.machine.store.has(gone.root)
    done = run("gc", tmp_path / "chain", "--states", "1")
    assert done.exit_code == 0, done.output
    with Network(tmp_path / "chain") as network:
        assert not network.machine.store.has(gone.root)
    return tmp_path / "chain", address, native, gone


@pytest.mark.slow
def test_every_view_shows_archival_epoch_and_root(expired: tuple[Path, Address, Address, ArchivedActor]) -> None:
    chain, address, native, gone = expired
    words = f"archived since epoch {gone.since}, root {show(gone.root)}"
    for actor in (address, native):
        shown = run("inspect", chain, actor, "--json")
        fields = json.loads(shown.output)
        assert fields["type"] == "archived"
        assert fields["archived"].startswith("archived since epoch ")
        assert (words in fields["archived"]) == (actor == address)
        assert fields["balance"] == ("0" if actor == address else str(fil(1)))
        shown = run("actor", "inspect", actor, "--state", chain)
        assert shown.exit_code == 0, shown.output
        assert "archived since epoch" in shown.output
    shown = run("inspect", chain, f"{address}/state/contract_state/0")
    assert (shown.exit_code, words in shown.output) == (1, True), shown.output
    verified = run("inspect", chain, address, "--proof", chain.parent / "proof.car")
    assert verified.exit_code == 0, verified.output
    verified = run("inspect", address, "--verify", chain.parent / "proof.car")
    assert words in verified.output, verified.output
    with Network(chain) as network:
        node = Node(network)
        visit = Visitor(node)
        for actor in (address, native):
            for page in ("", "/state", "/call"):
                result = visit(f"/actor/{actor}{page}")
                assert result.status == 200, (page, result.text)
            assert "archived since epoch" in visit(f"/actor/{actor}").text
        assert "archived" in visit("/actors").text


@pytest.mark.slow
def test_json_rpc_has_no_code_and_names_the_exit_code(expired: tuple[Path, Address, Address, ArchivedActor]) -> None:
    chain, address, _, gone = expired
    with Network(chain) as network:
        ask = Client(Node(network))
        ethereum = "0x" + address.to_bytes()[2:22].hex()
        assert ask("eth_getCode", ethereum, "latest") == "0x"
        assert ask("eth_getStorageAt", ethereum, "0x1", "latest") == "0x" + "00" * 32
        assert ask("eth_getBalance", ethereum, "latest") == "0x0"
        assert ask("eth_getTransactionCount", ethereum, "latest") == "0x0"
        head = ask("Filecoin.StateGetActor", str(address), None)["Head"]["/"]
        assert head != show(gone.root)
        state = ask("Filecoin.StateReadState", str(address), None)
        assert state["Balance"] == "0"


@pytest.mark.slow
def test_an_archived_contract_runs_in_no_accounts_name() -> None:
    """With the lab `accounts`, a formerly valid authorization leads to a contract without code."""
    owner = Account.from_key(bytes(31) + b"\x07")
    with Network(rules="lab:accounts,rent=all/1000/10/5") as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        sender, count = network.accounts[0], contract.interface.encode_call("count")
        transaction = Transaction(
            SET_CODE, network.chain_id, network.nonce(sender), owner.address, 0, count, 500_000_000,
            2 * network.base_fee + network.default_premium, network.default_premium,
            authorizations=(owner.sign_authorization(contract.address, 0, network.chain_id),),
        )  # fmt: skip
        assert network.receipt(network.submit(sender.sign(transaction).raw())).succeeded
        network.mine(10)
        with pytest.raises(TransactionFailed) as failed:
            network.send(owner.address, data=count, gas_limit=10**9)
        assert failed.value.exit_code == ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION


class TestProofs:
    """A state of three blocks, and invalid proofs of it."""

    store = MemoryStore()
    leaves = (b"left", b"right")
    data = encode([link(cid_of(leaf, RAW)) for leaf in leaves])
    root = cid_of(data, DAG_CBOR)
    blocks = ((root, data), (cid_of(b"left", RAW), b"left"), (cid_of(b"right", RAW), b"right"))
    store.put_many(blocks)
    other = (cid_of(b"other", RAW), b"other")

    def test_proof_is_car_of_specified_format(self) -> None:
        assert proof_of(self.store, self.root) == car(self.root, self.blocks)
        assert proven_blocks(self.root, car(self.root, self.blocks)) == list(self.blocks)

    @pytest.mark.parametrize(
        ("root", "blocks", "said"),
        [
            (other[0], [other], "the proof has the root"),
            (other[0], blocks, "the proof has the root"),
            (root, [other], "block 1 of the proof is"),
            (root, [], "the proof ends after 0 blocks"),
            (root, blocks[:1], "the proof ends after 1 blocks"),
            (root, blocks[:2], "the proof ends after 2 blocks"),
            (root, [*blocks, other], "the state has no further one"),
            (root, [*blocks, blocks[0]], "the state has no further one"),
            (root, [blocks[0], *blocks], "block 2 of the proof is"),
            (root, [blocks[0], blocks[2], blocks[1]], "block 2 of the proof is"),
            (root, [blocks[0], other, *blocks[1:]], "block 2 of the proof is"),
            (root, blocks[1:], "block 1 of the proof is"),
        ],
    )
    def test_other_car_is_refused(self, root: Cid, blocks: Sequence[tuple[Cid, bytes]], said: str) -> None:
        with pytest.raises(ProofRefused, match=said):
            proven_blocks(self.root, car(root, blocks))

    @pytest.mark.slow
    def test_a_changed_bit_is_seen_wherever_it_is(self) -> None:
        proof = car(self.root, self.blocks)
        for place in range(len(proof) * 8):
            changed = bytearray(proof)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises(ProofRefused):
                proven_blocks(self.root, bytes(changed))

    def test_a_proof_has_a_largest_size(self) -> None:
        with pytest.raises(ProofRefused, match=f"a proof of {MAX_PROOF + 1} bytes: at most {MAX_PROOF}"):
            proven_blocks(self.root, bytes(MAX_PROOF + 1))

    def test_two_roots_and_version_2_are_refused(self) -> None:
        file = BytesIO()
        write_car(file, [self.root, self.other[0]], self.blocks)
        with pytest.raises(ProofRefused, match="the proof has the root"):
            proven_blocks(self.root, file.getvalue())

    @pytest.mark.parametrize("chunk", [1, 50, 4_000])
    def test_the_largest_state_that_is_proven_fits_a_proof(self, chunk: int) -> None:
        """The limit is in bytes as rent counts them; for any blocks, the CAR is not larger."""
        store, links, size = MemoryStore(), list[object](), 0
        while True:
            leaf = len(links).to_bytes(4, "big") + bytes(chunk)
            store.put(cid_of(leaf, RAW), leaf)
            data = encode([*links, link(cid_of(leaf, RAW))])
            larger = size + len(leaf) + BLOCK_BYTES
            if larger + len(data) + BLOCK_BYTES > MAX_PROVEN:
                break
            links, size = [*links, link(cid_of(leaf, RAW))], larger
        data = encode(links)
        root = cid_of(data, DAG_CBOR)
        store.put(root, data)
        found = size_of(store, root, STATE_BLOCKS)
        assert found.is_provable
        assert found.blocks == len(links) + 1
        assert len(proof_of(store, root)) <= MAX_PROOF


def test_state_above_block_limit_pays_for_walked_blocks_only() -> None:
    store, links = MemoryStore(), []
    for number in range(50):
        store.put(cid_of(bytes([number]), RAW), bytes([number]))
        links.append(link(cid_of(bytes([number]), RAW)))
    data = encode(links)
    store.put(cid_of(data), data)
    part = size_of(store, cid_of(data), 10)
    assert (part.size, part.blocks, part.whole, part.is_provable) == (len(data) + 9 + 10 * 128, 10, False, False)


class Lost:
    """A machine in which the rent actor's payments fail."""

    is_armed, watched = True, frozenset[bytes]()

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        lost = call.from_ == RENT and call.method == METHOD_SEND
        return CallResult(ExitCode.SYS_OUT_OF_GAS) if lost else proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None: ...


def test_a_deposit_that_does_not_arrive_stays_where_it_is() -> None:
    with Network(rules=f"lab:rent=own/{RATE}/{PERIOD}/{GRACE}") as network:
        network.mine()
        stage = Stage(network)
        assert stage.by_tenant(PAY, b"", value=5) == 0
        collect(stage.machine)
        before = stage.tenancy()
        stage.next_epoch(GRACE)  # now it is archived, and what it has goes to its own balance
        stage.machine.interceptor = Lost()
        assert stage.by_tenant(OPT_OUT) == ExitCode.USR_ILLEGAL_STATE
        with pytest.raises(Fatal, match=f"the transfer of 5 attoFIL to f0{stage.tenant} failed with exit code 7"):
            collect(stage.machine)
        stage.machine.interceptor = None
        assert stage.tenancy() == before
        assert stage.machine.balance(RENT_ADDRESS) == 5
        assert stage.by_tenant(OPT_OUT) == 0
        assert stage.machine.balance(RENT_ADDRESS) == 0
