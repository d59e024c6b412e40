"""Forks of Filecoin networks. The forked one is a second network, accessed over HTTP like any node."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.bundles.bundle import Bundle
from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from hypervisor.installation import FILECOIN
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.cli.folders import reading
from hypervisor_tools.cli.node_settings import banner
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from localnet import Network, stream_settings
from localnet.addresses import filecoin_address
from localnet.contracts.contract import Contract
from localnet.fork.forking import ForkSource, Origin, find_fork_point
from localnet.fork.node_client import NodeClient, NodeError, RequestOptions
from localnet.miners.miner import Miner
from localnet.replay.replay import heights, replay
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from store.blocks.memory import RemoteHashMismatch, RemoteStore, RemoteUnavailable
from store.blockstore import BlockNotFound, StoreError
from store.cid import RAW, Cid, cid_of, show
from tests.conftest import data_file, kinds
from tests.hypervisor_tools.cli.lotus_node import LotusNode, served
from tests.localnet.conftest import ARTIFACTS, BUNDLE, START, Clock
from tests.localnet.fork.test_node_client import constant_server
from tests.localnet.rpc.conftest import Client, Failed, refusal

COUNTER = ARTIFACTS / "Counter.json"
BLOCK = {"Timestamp": 1_800_000_000, "ParentBaseFee": "100"}


class Other:
    """The forked network: a counter at 2, a null round, and a transfer."""

    def __init__(self, network: Network, url: str) -> None:
        self.network, self.url = network, url
        self.counter = network.deploy(COUNTER)
        self.counter.send("increment")
        self.counter.send("increment")
        network.mine(null_rounds=1)
        network.send(network.accounts[1], 5)


@pytest.fixture(scope="module", params=kinds())
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    bundle = None if request.param == "own" else data_file(BUNDLE)
    with Network(bundle=bundle, clock=Clock()) as network:
        # the network is used by this thread before it is served, and by the server's afterwards
        found = Other(network, "")
        with serving(network) as url:
            found.url = url
            yield found


def fork(other: Other, path: Path | str = ":memory:", epoch: int | None = None) -> Network:
    return Network.fork(other.url, epoch, path, clock=Clock(START + 100))


@pytest.mark.slow
def test_a_fork_answers_as_the_other_network_does(other: Other) -> None:
    there = other.network
    with fork(other) as network:
        assert network.machine.root == there.machine.root
        assert network.head.hash == there.head.hash
        assert (network.block_number, network.base_fee, network.chain_id) == (
            there.block_number,
            there.base_fee,
            there.chain_id,
        )
        assert network.contract(other.counter.address, COUNTER).call("number") == 2
        for account in there.accounts:
            assert network.balance(account) == there.balance(account) > 0
            assert network.nonce(account) == there.nonce(account)
        assert network.machine.context == there.machine.context
        assert network.chain.record == there.chain.record


@pytest.mark.slow
def test_fork_with_its_own_chain_id_runs_transactions(other: Other) -> None:
    with Network.fork(other.url, clock=Clock(START + 100), chain_id=77) as network:
        assert network.chain_id == 77 != other.network.chain_id
        assert network.send(network.accounts[1], 1).succeeded


@pytest.mark.slow
def test_a_fork_has_the_chain_id_that_is_passed(tmp_path: Path) -> None:
    with Network(clock=Clock()) as there, serving(there) as url:
        with Network(tmp_path / "chain", fork=ForkSource(url, chain_id=5), clock=Clock()) as network:
            assert network.chain_id == 5 != there.chain_id
        with pytest.raises(InvalidInput, match="is a fork of chain ID 5, not 6: omit the fork's chain ID"):
            Network(tmp_path / "chain", fork=ForkSource(url, chain_id=6), clock=Clock())


@pytest.mark.slow
def test_the_same_messages_lead_to_the_same_root() -> None:
    with Network(clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        with serving(there) as url, Network.fork(url, clock=Clock()) as network:
            assert network.contract(counter.address, COUNTER).send("increment").succeeded
            network.send(network.accounts[3], 5)
            here = network.machine.root
        assert counter.send("increment").succeeded
        there.send(there.accounts[3], 5)
        assert here == there.machine.root


@pytest.mark.slow
def test_forked_state_is_fetched_on_first_access(other: Other) -> None:
    with fork(other) as network:
        store = network.machine.base
        assert isinstance(store, RemoteStore)
        at_first = store.fetches
        assert network.contract(other.counter.address, COUNTER).call("number") == 2
        once = store.fetches
        assert network.contract(other.counter.address, COUNTER).call("number") == 2
        assert at_first < once == store.fetches


@pytest.mark.slow
def test_a_fork_in_memory_lets_its_own_old_states_go(other: Other) -> None:
    """A fork deletes its own old states although it lacks most of the other network's blocks."""
    with Network.fork(other.url, keep_states=3, clock=Clock(START + 100)) as network:
        begun, first = network.block_number, network.balance(network.accounts[3])
        for _ in range(20):
            network.send(network.accounts[3], 5)
        counter = network.contract(other.counter.address, COUNTER)
        counter.send("increment")
        assert counter.call("number") == 3
        assert network.balance(network.accounts[3]) == first + 100
        assert [network.balance(account) > 0 for account in network.accounts] == [True] * 10
        with pytest.raises(InvalidInput, match=f"block {begun + 5} was collected"):
            network.chain.machine_at(network.block(begun + 5))
        oldest = network.block(network.block_number - 2)
        assert network.chain.machine_at(oldest).balance(network.accounts[3].delegated) >= first + 90
    assert other.counter.call("number") == 2


@pytest.mark.slow
def test_messages_on_a_fork_leave_the_other_network_alone(other: Other) -> None:
    root = other.network.machine.root
    with fork(other) as network:
        counter = network.contract(other.counter.address, COUNTER)
        assert counter.send("increment").succeeded
        network.mine(3)
        assert counter.call("number") == 3
        assert network.block_number == other.network.block_number + 4
    assert other.network.machine.root == root
    assert other.counter.call("number") == 2


@pytest.mark.slow
def test_fork_may_start_at_earlier_epoch_or_null_round(other: Other) -> None:
    with fork(other, epoch=2) as network:
        assert network.block_number == 2
        assert network.contract(other.counter.address, COUNTER).call("number") == 1
        assert network.machine.root == other.network.block(2).state
        assert network.base_fee == other.network.block(2).next_base_fee
    with fork(other, epoch=2 - other.network.block_number) as network:
        assert network.block_number == 2
    with fork(other, epoch=4) as network:  # nobody made a block in this one
        assert network.block_number == 3
        assert network.head.hash == other.network.block(3).hash


@pytest.mark.slow
def test_contracts_see_the_past_of_the_other_network(other: Other) -> None:
    there = other.network.machine.externs
    with fork(other) as network:
        network.mine()
        here = network.machine.externs
        for epoch in map(ChainEpoch, (0, 2, 4, other.network.block_number)):
            assert here.tipset_cid(epoch) == there.tipset_cid(epoch)
            assert here.beacon_randomness(epoch) == there.beacon_randomness(epoch)
            assert here.chain_randomness(epoch) == there.chain_randomness(epoch)


@pytest.mark.slow
def test_randomness_up_to_fork_epoch_comes_from_remote_node(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    with fork(other, epoch=3) as network:
        network.mine()
        lying(monkeypatch, "Filecoin.StateGetRandomnessDigestFromTickets", b64encode(b"t" * 32).decode())
        lying(monkeypatch, "Filecoin.StateGetRandomnessDigestFromBeacon", b64encode(b"b" * 32).decode())
        externs = network.machine.externs
        assert [externs.chain_randomness(ChainEpoch(epoch)) == b"t" * 32 for epoch in (2, 3, 4)] == [True, True, False]
        assert [externs.beacon_randomness(ChainEpoch(epoch)) == b"b" * 32 for epoch in (2, 3, 4)] == [True, True, False]


@pytest.mark.slow
def test_fork_folder_reopens_without_its_origin_network(tmp_path: Path) -> None:
    with Network(clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        counter.send("increment")
        with serving(there) as url, Network.fork(url, path=tmp_path) as network:
            assert network.contract(counter.address, COUNTER).send("increment").succeeded
            root = network.machine.root
            network.machine.externs.tipset_cid(ChainEpoch(1))
    with Network(tmp_path) as network:
        assert network.machine.root == root
        mine = network.contract(counter.address, COUNTER)
        assert mine.call("number") == 2
        assert mine.send("increment").succeeded
        assert network.machine.externs.tipset_cid(ChainEpoch(1)) == there.block(1).key
        receipt = network.receipt(network.block(network.block_number - 1).transactions[0])
        assert len(receipt.trace.calls) == 1
        # nobody has touched this one before, and nobody is there to ask
        with refusal(-32000, "is not stored here, and no node responds at"):
            Client(Node(network))("Filecoin.ChainReadObj", {"/": show(cid_of(b"never read", RAW))})
        with pytest.raises((StoreError, NodeError)) as missing:
            network.machine.base.get(cid_of(b"never read", RAW))
        assert isinstance(missing.value, RemoteUnavailable)
        assert url in str(missing.value)


@pytest.mark.slow
def test_the_other_networks_node_may_move(tmp_path: Path) -> None:
    with Network(clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        with serving(there) as url, Network.fork(url, path=tmp_path, clock=Clock()):
            pass
        with serving(there) as moved, Network.fork(moved, path=tmp_path, clock=Clock()) as network:
            assert network.contract(counter.address, COUNTER).call("number") == 0


@pytest.mark.slow
def test_the_next_base_fee_is_the_other_networks() -> None:
    with Network(clock=Clock()) as there:
        there.set_next_base_fee(TokenAmount(5_000))
        assert there.head.base_fee != there.base_fee
        with serving(there) as url, Network.fork(url, clock=Clock()) as network:
            assert (network.head.base_fee, network.base_fee) == (there.head.base_fee, 5_000)


@pytest.mark.slow
def test_fork_reports_its_origin_and_first_block(other: Other) -> None:
    with fork(other, epoch=2) as network:
        rpc = Client(Node(network))
        began = network.head.hash
        network.mine(3)
        assert f"Fork:            of {other.url}, after epoch 2" in banner(network, "", "", signs=True).splitlines()
        with pytest.raises(Failed, match="block 1 not found: this chain begins at 2"):
            rpc("eth_getBalance", f"0x{network.accounts[0].address.hex()}", "0x1")
        assert rpc("anvil_nodeInfo")["forkConfig"] == {
            "forkUrl": other.url, "forkBlockNumber": 2, "forkRetryBackoff": 1000
        }  # fmt: skip
        assert rpc("anvil_metadata")["forkedNetwork"] == {
            "chainId": other.network.chain_id, "forkBlockNumber": 2, "forkBlockHash": f"0x{began.hex()}"
        }  # fmt: skip
        with pytest.raises(Failed, match="the chain has 3 blocks above the first, not 4"):
            rpc("anvil_rollback", 4)
        assert network.block_number == 5
        rpc("anvil_rollback", 3)
        assert network.head.hash == began


@pytest.mark.slow
def test_fork_tipsets_are_replayed_without_the_remote_network(tmp_path: Path) -> None:
    with Network(clock=Clock()) as there:
        there.mine(3)
        with serving(there) as url, Network.fork(url, path=tmp_path, clock=Clock(START + 100)) as network:
            # the hash of block NUMBER - 2, which is the other network's, becomes a contract's code
            sent = network.send(None, data=bytes.fromhex("600243034060005260206000f3"))
            assert sent.succeeded
            made = network.machine.actor(to_filecoin(EthAddress(sent.contract_address or b"")))
            assert made is not None
            network.mine(2)
    done = [replay(tmp_path, height) for height in heights(tmp_path)]
    assert [(tipset.messages, tipset.difference) for tipset in done] == [(1, ""), (0, ""), (0, "")]


@pytest.mark.slow
def test_missing_block_in_fork_folder_explains_fork(other: Other, tmp_path: Path) -> None:
    fork(other, tmp_path).close()
    missing = "is not in the store.* contains a fork, which has only the blocks that were read"
    with pytest.raises(StoreError, match=missing), reading(tmp_path) as store:
        store.get(cid_of(b"never read", RAW))


@pytest.mark.slow
def test_a_folder_is_one_fork(other: Other, tmp_path: Path) -> None:
    with fork(other, tmp_path / "fork", 2):
        pass
    with fork(other, tmp_path / "fork") as network:
        assert network.block_number == 2
    with pytest.raises(InvalidInput, match="was forked at epoch 2, not at 3"):
        fork(other, tmp_path / "fork", 3)
    for epoch in (4, 4, 3):  # a null round, and the block before it
        with fork(other, tmp_path / "null", epoch) as network:
            assert network.block_number == 3
    with Network(tmp_path / "none"):
        pass
    with pytest.raises(InvalidInput, match="is not a fork"):
        fork(other, tmp_path / "none")


@pytest.mark.slow
def test_unfunded_accounts_are_funded_on_fork() -> None:
    with Network(clock=Clock(), mnemonic=" ".join(["abandon"] * 11 + ["about"])) as there:
        balance = TokenAmount(7 * 10**18)
        with serving(there) as url, Network.fork(url, clock=Clock(START + 9), balance=balance) as network:
            assert network.balance(network.accounts[0]) == balance
            assert network.send(network.accounts[1], 1).succeeded
            minted = 2 * len(network.accounts) * balance
            assert network.chain.record.vested == there.chain.record.vested + minted


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": 27}, "a fork uses the network version"),
        ({"fork": ForkSource("ftp://there")}, "is not a URL of a node"),
    ],
)
def test_impossible_fork_options_are_reported(other: Other, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(**{"fork": ForkSource(other.url), **options})


def test_network_accounts_and_slots_fork_under_ethereum_rules(other: Other) -> None:
    there = other.network
    with Network.fork(other.url, rules="ethereum", clock=Clock(START + 100)) as network:
        assert (network.block_number, network.chain_id) == (there.block_number, there.chain_id)
        counter = network.contract(other.counter.address, COUNTER)
        assert counter.call("number") == 2
        assert counter.send("increment").succeeded
        assert counter.call("number") == 3


def test_an_epoch_that_is_not_there_yet_is_named(other: Other) -> None:
    head = other.network.block_number
    with pytest.raises(InvalidInput, match=f"epoch {head + 1} cannot be forked: .* is at epoch {head}"):
        fork(other, epoch=head + 1)


def test_unreachable_fork_node_error_names_url() -> None:
    with pytest.raises(NodeError, match=r"no node responds at http://127\.0\.0\.1:9"):
        Network.fork("http://127.0.0.1:9")


def test_a_node_without_filecoins_methods_is_named_as_such(monkeypatch: pytest.MonkeyPatch, other: Other) -> None:
    """The response is anvil's for an unknown method."""

    def ask(self: NodeClient, method: str, *params: Any) -> object:
        raise NodeError(f"{self.name} returned an error: Method not found", None, code=-32601, answered=True)

    monkeypatch.setattr(NodeClient, "request", ask)
    with pytest.raises(NodeError, match=r"cannot be forked: it does not answer Filecoin\.ChainHead .*Method not found"):
        find_fork_point(ForkSource(other.url))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, {"code": -32005, "message": "daily request count exceeded"}),  # of a provider that limits the rate
        (401, {"code": -32000, "message": "must be authenticated"}),
    ],
)
def test_refusing_node_is_not_taken_for_ethereum_only_node(status: int, error: dict[str, object]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    with constant_server(status, body) as url, pytest.raises(NodeError, match=str(error["message"])) as refused:
        find_fork_point(ForkSource(url, options=RequestOptions(backoff=0)))
    assert "Ethereum nodes have no actors" not in str(refused.value)


@pytest.mark.slow
def test_a_network_under_other_rules_is_not_forked_as_filecoins() -> None:
    with (
        Network(rules="ethereum") as network,
        serving(network) as url,
        pytest.raises(InvalidInput, match="is of a network under the rules 'ethereum'"),
    ):
        Network.fork(url)


# --- nodes that lie ---------------------------------------------------------------------------------------------------


def lying(monkeypatch: pytest.MonkeyPatch, method: str, answer: object) -> None:
    honest = NodeClient.request

    def ask(self: NodeClient, asked: str, *params: Any) -> object:
        return answer if asked == method else honest(self, asked, *params)

    monkeypatch.setattr(NodeClient, "request", ask)


def test_a_block_with_other_bytes_is_an_error_that_names_it(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    lying(monkeypatch, "Filecoin.ChainReadObj", "AAAA")
    with pytest.raises(RemoteHashMismatch, match=r"the remote returned bytes for block bafy\w+"):
        fork(other)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("Filecoin.ChainHead", None),
        ("Filecoin.ChainHead", {"Height": 1, "Cids": [], "Blocks": []}),
        ("Filecoin.ChainHead", {"Height": float("inf"), "Cids": [], "Blocks": [BLOCK]}),
        ("Filecoin.ChainHead", {"Height": -5, "Cids": [], "Blocks": [BLOCK]}),
        ("Filecoin.StateCompute", {"Root": {"/": 5}}),
        ("Filecoin.StateCompute", {"Root": {"/": "nonsense"}}),
        ("Filecoin.StateCompute", {"Root": {"/": None}}),
        ("eth_feeHistory", {"baseFeePerGas": ["0xzz"]}),
        ("eth_feeHistory", {"baseFeePerGas": ["-0x5"]}),
        ("eth_chainId", 5),
        ("eth_chainId", "0x" + "f" * 64),
        ("Filecoin.StateNetworkVersion", "new"),
        ("Filecoin.StateNetworkVersion", float("inf")),
        ("Filecoin.StateNetworkName", 5),
        ("Filecoin.StateVMCirculatingSupplyInternal", {"FilVested": "-1"}),
    ],
)
def test_answers_of_another_shape_are_one_sentence(
    other: Other, monkeypatch: pytest.MonkeyPatch, method: str, answer: object
) -> None:
    lying(monkeypatch, method, answer)
    with pytest.raises(NodeError, match="returned a malformed response"):
        find_fork_point(ForkSource(other.url))


@pytest.mark.slow
def test_a_block_in_no_base64_is_an_error(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    with fork(other) as network:
        origin = Origin(find_fork_point(ForkSource(other.url)), network.machine.base)
        lying(monkeypatch, "Filecoin.ChainReadObj", "?")
        with pytest.raises(RemoteUnavailable, match="did not return base64"):
            origin.block(Cid(cid_of(b"any", RAW)))
        origin.close()


@pytest.mark.slow
def test_absent_remote_block_is_not_found_unlike_node_refusal(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    with fork(other) as network:
        with pytest.raises(BlockNotFound):
            network.machine.base.get(cid_of(b"nowhere", RAW))

        def refuse(self: NodeClient, asked: str, *params: Any) -> object:
            raise NodeError(f"{self.url} returned an error: too many requests", answered=True)

        monkeypatch.setattr(NodeClient, "request", refuse)
        with pytest.raises(RemoteUnavailable, match="too many requests"):
            network.machine.base.get(cid_of(b"nowhere", RAW))


@pytest.mark.parametrize("cids", [[], None, [{"/": 5}], [{}]])
def test_a_tipset_without_the_names_of_its_blocks_is_none(
    other: Other, monkeypatch: pytest.MonkeyPatch, cids: object
) -> None:
    with NodeClient(other.url) as client:
        tipset = client.request("Filecoin.ChainGetTipSetByHeight", 2, None)
    lying(monkeypatch, "Filecoin.ChainGetTipSetByHeight", {**tipset, "Cids": cids})
    lying(monkeypatch, "Filecoin.StateNetworkVersion", 28)
    lying(monkeypatch, "Filecoin.StateVMCirculatingSupplyInternal", {"FilVested": "0"})
    with pytest.raises(NodeError, match="returned a malformed response"):
        find_fork_point(ForkSource(other.url, 2))


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["AAAA", "?", 5, None])
def test_randomness_that_is_no_digest_is_not_taken(
    other: Other, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    with fork(other) as network:
        lying(monkeypatch, "Filecoin.StateGetRandomnessDigestFromBeacon", answer)
        with pytest.raises(ExternError, match="epoch 2 is before the fork, and the forked node does not respond"):
            network.machine.externs.beacon_randomness(ChainEpoch(2))


@pytest.mark.slow
def test_nonexistent_actor_on_fork_has_zero_balance(other: Other) -> None:
    with fork(other) as network:
        assert network.balance(filecoin_address("f01234567")) == 0


@pytest.mark.slow
def test_a_fork_is_upgraded_in_its_middle_and_its_origin_is_not(tmp_path: Path) -> None:
    """The upgrade to network version 29 reads and migrates states of the origin; the folder continues from there."""
    with Network(network=28, clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        counter.send("increment")
        miner = there.create_miner(sectors=2)
        power = miner.power()
        there.mine()
        with serving(there) as url:
            with Network.fork(url, path=tmp_path, clock=Clock(START + 100)) as network:
                network.mine(2)
                swa = network.accounts[0]
                network.upgrade(29, streams=stream_settings(swa=swa, sra=swa, orchestrator=swa, ramp=90))
                assert (network.version, network.machine.manifest) == (29, Bundle.embedded("v19").manifest)
                assert Miner(network, miner.id, network.accounts[0]).power() == power
                assert network.contract(counter.address, COUNTER).send("increment").succeeded
                head = network.head
            with Network(tmp_path, clock=Clock(START + 100)) as network:
                assert (network.head, network.version) == (head, 29)
                assert network.contract(counter.address, COUNTER).call("number") == 2
                network.mine()
        assert (there.version, there.machine.manifest) == (28, Bundle.embedded().manifest)


INCREMENT, NUMBER = bytes.fromhex("d09de08a"), bytes.fromhex("8381f58a")
CALLER = EthAddress(bytes([7] * 20))


class Lotus:
    def __init__(self, network: Network, url: str, node: LotusNode, counter: Contract) -> None:
        self.network, self.url, self.node, self.counter = network, url, node, counter


@pytest.fixture
def lotus() -> Iterator[Lotus]:
    with Network(clock=Clock()) as network:
        counter = network.deploy(COUNTER)
        counter.send("increment")
        network.mine(null_rounds=1)
        counter.send("increment")
        node = LotusNode(network)
        with served(node) as url:
            yield Lotus(network, url, node, counter)


@pytest.mark.slow
def test_head_state_is_fetched_block_by_block(lotus: Lotus) -> None:
    with Network.fork(lotus.url, clock=Clock(START + 100)) as network:
        assert (network.machine.root, network.base_fee) == (lotus.network.machine.root, lotus.network.base_fee)
        counter = network.contract(lotus.counter.address, COUNTER)
        assert counter.call("number") == 2
        assert counter.send("increment").succeeded
        assert (counter.call("number"), lotus.counter.call("number")) == (3, 2)
    assert set(lotus.node.blocks.values()) == {1}, "a block was asked for twice"


@pytest.mark.slow
def test_an_earlier_epochs_state_is_that_of_the_next_header(lotus: Lotus, tmp_path: Path) -> None:
    with Network.fork(lotus.url, 2, tmp_path, clock=Clock(START + 100)) as network:
        assert network.contract(lotus.counter.address, COUNTER).call("number") == 1
    with Network(tmp_path, clock=Clock(START + 200)) as network:
        assert network.contract(lotus.counter.address, COUNTER).call("number") == 1


@pytest.mark.slow
def test_solidity_tests_under_filecoins_rules_begin_there(lotus: Lotus) -> None:
    with closing(TestExecutor(ExecutorSettings(rules=FILECOIN, fork_url=lotus.url), Cheatcodes())) as executor:
        assert executor.call(CALLER, lotus.counter.address, INCREMENT).success
        assert executor.call(CALLER, lotus.counter.address, NUMBER).output == (3).to_bytes(32, "big")


@pytest.mark.slow
def test_a_block_of_other_bytes_is_refused(lotus: Lotus) -> None:
    lotus.node.damaged[lotus.network.machine.root] = b"\x80"
    with pytest.raises(RemoteHashMismatch):
        Network.fork(lotus.url, clock=Clock(START + 100))
