"""FIP-0107 as a draft version: receipts of six fields, also for rewards and cron, before and after a live upgrade.

Expected CIDs and receipts are encoded here with dag-cbor and multiformats, from the structures in the FIP's text.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from multiformats import CID, multihash
from wasmtime import wat2wasm

from bridge.ethereum.addresses import to_filecoin
from hypervisor import Address, Message
from hypervisor.messages.message import Receipt
from hypervisor.types import ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor_tools.laboratory.proofs import filecoin
from localnet import Account, Network
from localnet.explorer.application import explorer
from localnet.ledger.headers import IncludedMessage, read_receipts
from localnet.ledger.records import Tipset
from localnet.replay.tipset_execution import MinedBlock, NullRoundBefore, TipsetWork, execute_tipset
from localnet.rpc.method_table import MethodTable
from localnet.rpc.node import Node
from localnet.rpc.server.filecoin_v2 import V2MethodTable
from localnet.rpc.server.server import serving
from store.cid import parse_cid, show
from tests.command import run
from tests.hypervisor_tools.laboratory.drafts.test_opening import EPOCH, opened, written
from tests.localnet.rpc.asking import INBOX
from tests.localnet.rpc.conftest import Client, Failed
from tests.localnet.rpc.server.test_http import request

RULE = '[rules]\nreceipts = "all"\n'
CBOR, DAG_CBOR = 0x51, 0x71
SYSTEM, REWARD, CRON = b"\x00\x00", b"\x00\x02", b"\x00\x03"
DATACAP, NAME = Address.id(7), 48890204
"""The DataCap actor, and the number of its method "Name" (FRC-42)."""
NO_MINER = b"\x00\x00"
"""Address of f00, which these blocks name as their producer."""


def cid_of(data: bytes) -> CID:
    """Return the CID of a DAG-CBOR block, hashed with Blake2b-256."""
    digest = hashlib.blake2b(data, digest_size=32).digest()
    return CID("base32", 1, "dag-cbor", multihash.wrap(digest, "blake2b-256"))


def implicit(to: bytes, epoch: int, params: bytes = b"") -> bytes:
    """Encode the FIP's canonical message: version, to, from, nonce, value, gas limit, cap, premium, method, params."""
    return dag_cbor.encode([0, to, SYSTEM, epoch, b"", 0, b"", b"", 2, params])


def award(epoch: int, tips: int = 0) -> bytes:
    """Encode a reward message: the producer, no penalty, the tips as a big integer with its sign, one win."""
    amount = b"" if not tips else b"\x00" + tips.to_bytes((tips.bit_length() + 7) // 8, "big")
    return implicit(REWARD, epoch, dag_cbor.encode([NO_MINER, b"", amount, 1]))


def list_root(receipts: Sequence[list[Any]]) -> CID:
    """Return the root of up to eight receipts: an AMT of version 0 with one node."""
    return cid_of(dag_cbor.encode([0, len(receipts), [bytes([(1 << len(receipts)) - 1]), [], [*receipts]]]))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Return a network of nv29 up to epoch 3, and of the draft from epoch 4 on."""
    with opened(written(tmp_path, RULE)) as network:
        yield network


def client_of(network: Network) -> Client:
    return Client(Node(network))


def v2_of(network: Network) -> Client:
    client = Client(Node(network))
    client.dispatcher = client.dispatcher.with_methods(V2MethodTable(MethodTable()))
    return client


def latest(height: int) -> dict[str, Any]:
    return {"height": {"at": height, "anchor": {"tag": "latest"}}}


def transfer(network: Network) -> Tipset:
    alice, bob = network.accounts[:2]
    network.send_native(bob.native, value=1, sender=alice)
    return network.head


def mine_transfer(network: Network, null_rounds: int) -> Tipset:
    return mine_together(network, network.accounts[:1], network.accounts[1].native, 0, null_rounds)


def mine_together(
    network: Network, senders: Sequence[Account], to: Address, method: int, null_rounds: int = 0
) -> Tipset:
    network.automine = False
    for sender in senders:
        message = Message(
            to, sender.native, nonce=network.pending_nonce(sender.native), method=MethodNumber(method),
            gas_fee_cap=TokenAmount(10**9), gas_premium=TokenAmount(7), gas_limit=Gas(10**9),
        )  # fmt: skip
        network.submit_native(sender.sign_native(message))
    network.automine = True
    return network.mine(null_rounds=null_rounds)


def draft_tipset(network: Network) -> Tipset:
    network.mine(EPOCH + 1 - network.block_number)
    return transfer(network)


def stored(network: Network, tipset: Tipset) -> list[Receipt]:
    return read_receipts(network.machine.store, tipset.receipts)


def tips_of(network: Network, tipset: Tipset) -> int:
    """Return the tips of a tipset's only message: its premium for its whole gas limit."""
    message = network.chain.index.receipt_at(tipset, 0).execution.candidate.bare
    return min(message.gas_premium, message.gas_fee_cap - tipset.base_fee) * message.gas_limit


def cids_of(receipts: Iterable[Receipt]) -> list[str]:
    return [show(receipt.message or b"") for receipt in receipts]


def test_canonical_messages_have_the_bytes_of_the_fip() -> None:
    # version 0, to f03, from f00, nonce 5, value 0, gas limit 0, fee cap 0, premium 0, method 2, no parameters
    assert implicit(CRON, 5).hex() == "8a0042000342000005400040400240"
    message = Message(Address.id(3), Address.id(0), nonce=5, method=MethodNumber(2), gas_limit=Gas(0))
    assert message.to_cbor() == implicit(CRON, 5)


def test_cron_at_a_mainnet_epoch_takes_19_bytes() -> None:
    # The FIP's 27 bytes are those of an encoded gas limit of 10^14: nine bytes instead of one.
    assert len(implicit(CRON, 6_470_279)) == 27 - 9 + 1


def test_receipts_have_six_fields_in_the_order_of_execution(network: Network) -> None:
    tipset = draft_tipset(network)
    sent, reward, cron = stored(network, tipset)
    canonical = award(tipset.height, tips_of(network, tipset)), implicit(CRON, tipset.height)
    assert cids_of([reward, cron]) == [str(cid_of(message)) for message in canonical]
    for message in canonical:
        assert network.machine.store.get(parse_cid(str(cid_of(message)))) == message
    fields: list[list[Any]] = [
        [0, b"", each.gas_used, None, None, CID.decode(cids_of([each])[0])] for each in (sent, reward, cron)
    ]
    assert str(list_root(fields)) == show(tipset.receipts)
    assert sent.to_cbor() == dag_cbor.encode(fields[0])


def test_receipts_before_the_upgrade_are_as_today(network: Network) -> None:
    while network.block_number < EPOCH:
        tipset = transfer(network)
        (receipt,) = stored(network, tipset)
        assert str(list_root([[0, b"", receipt.gas_used, None]])) == show(tipset.receipts)
        assert (receipt.message, receipt.return_codec, tipset.implicit) == (None, None, ())
    assert network.version == 29
    first = transfer(network)
    assert (first.height, network.version, len(stored(network, first))) == (EPOCH + 1, 30, 3)


@pytest.mark.parametrize("null_rounds", [1, 2, 5])
def test_cron_of_null_rounds_comes_first(network: Network, null_rounds: int) -> None:
    first = draft_tipset(network).height + 1
    tipset = mine_transfer(network, null_rounds)
    last = first + null_rounds
    before = [str(cid_of(implicit(CRON, epoch))) for epoch in range(first, last)]
    sent = show(network.chain.index.receipt_at(tipset, 0).execution.candidate.message.cid())
    after = [str(cid_of(each)) for each in (award(last, tips_of(network, tipset)), implicit(CRON, last))]
    assert tipset.height == last
    assert cids_of(stored(network, tipset)) == [*before, sent, *after]
    tipset = network.mine(null_rounds=null_rounds)
    first, last = last + 1, tipset.height
    assert [each["Message"]["Nonce"] for each in v2_of(network)("Filecoin.ChainGetMessages", latest(last), ALL)] == [
        *range(first, last), last, last,
    ]  # fmt: skip


def test_null_rounds_over_the_upgrade_have_receipts_in_the_first_tipset_of_the_draft(network: Network) -> None:
    tipset = network.mine(null_rounds=EPOCH + 2)
    messages = [*(implicit(CRON, epoch) for epoch in range(1, EPOCH + 3)), award(EPOCH + 3), implicit(CRON, EPOCH + 3)]
    assert cids_of(stored(network, tipset)) == [str(cid_of(each)) for each in messages]


def test_each_block_has_its_reward_behind_its_messages(network: Network) -> None:
    """A tipset of two blocks after a null round, whose second block repeats a message of the first."""
    alice, bob = network.accounts[:2]
    network.mine(EPOCH + 1 - network.block_number)
    epoch = ChainEpoch(network.block_number + 2)
    nonce = network.pending_nonce(alice.native)
    carried = []
    for number in range(2):
        bare = Message(
            bob.native, alice.native, nonce=nonce + number, gas_fee_cap=TokenAmount(10**9), value=TokenAmount(1)
        )
        signed = alice.sign_native(bare)
        carried.append(IncludedMessage(bare, signed.cid(), len(signed.to_cbor())))
    first, second = carried
    producer = Address.id(0)
    work = TipsetWork(
        epoch,
        network.head.timestamp + 60,
        network.base_fee,
        (MinedBlock(producer, 1, (first,)), MinedBlock(producer, 1, (first, second))),
        (NullRoundBefore(ChainEpoch(epoch - 1), network.head.timestamp + 30),),
    )
    outcome = execute_tipset(network.machine.fork(network.head.state), work, lambda _machine, _epoch: TokenAmount(0))
    expected = [
        str(cid_of(implicit(CRON, epoch - 1))), show(first.cid), str(cid_of(award(epoch))), show(second.cid),
        str(cid_of(award(epoch))), str(cid_of(implicit(CRON, epoch))),
    ]  # fmt: skip
    assert cids_of(outcome.receipts) == expected
    assert [each.exit_code for each in outcome.receipts] == [0] * 6


def test_codec_is_that_of_the_returned_block(network: Network) -> None:
    network.mine(EPOCH + 1 - network.block_number)
    alice, bob = network.accounts[:2]
    inbox = network.deploy(INBOX)
    created = network.head
    codecs = {"transfer": network.send_native(bob.native, value=1, sender=alice)}
    codecs["name of datacap"] = network.send_native(DATACAP, NAME, sender=alice)
    codecs["bytecode of a contract"] = network.send_native(to_filecoin(inbox.address), 3, sender=alice)
    found = {name: receipt.execution.receipt.return_codec for name, receipt in codecs.items()}
    assert found == {"transfer": None, "name of datacap": CBOR, "bytecode of a contract": DAG_CBOR}
    assert stored(network, created)[0].return_codec == CBOR
    assert stored(network, network.head)[0].to_cbor() == dag_cbor.encode(
        [
            0, codecs["bytecode of a contract"].execution.receipt.return_data,
            codecs["bytecode of a contract"].gas_used, None, DAG_CBOR,
            CID.decode(show(codecs["bytecode of a contract"].execution.candidate.message.cid())),
        ]
    )  # fmt: skip


EMITTING_CRON = r"""
(module
  (import "event" "emit_event" (func $emit (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\03\00\00\00\00\00\00\00\51\00\00\00\00\00\00\00\05\00\00\00\05\00\00\00")
  (data (i32.const 32) "$type")
  (data (i32.const 40) "\64tick")
  (func (export "invoke") (param i32) (result i32)
    (drop (call $emit (i32.const 0) (i32.const 1) (i32.const 32) (i32.const 5) (i32.const 40) (i32.const 5)))
    (i32.const 0)))
"""


@pytest.mark.slow
def test_events_of_cron_are_linked_by_its_receipt_alone(tmp_path: Path) -> None:
    (tmp_path / "cron.wasm").write_bytes(bytes(wat2wasm(EMITTING_CRON)))
    with opened(written(tmp_path, f'{RULE}[actors]\ncron = "cron.wasm"\n')) as network:
        tipset = draft_tipset(network)
        *_, cron = stored(network, tipset)
        event: list[Any] = [3, [[3, "$type", CBOR, dag_cbor.encode("tick")]]]
        root = cid_of(dag_cbor.encode([5, 0, 1, [b"\x01\x00\x00\x00", [], [event]]]))
        assert show(cron.events_root or b"") == str(root)
        rpc = client_of(network)
        (found,) = rpc("Filecoin.ChainGetEvents", {"/": str(root)})
        assert (found["Emitter"], found["Entries"][0]["Key"]) == (3, "$type")
        everything = {"fromHeight": 0, "toHeight": tipset.height}
        assert rpc("Filecoin.GetActorEventsRaw", everything) is None  # an empty list of Lotus
        assert rpc("eth_getLogs", {"fromBlock": "0x0"}) == []
        with serving(network, pages=explorer([])) as url:
            hash_ = tipset.implicit[-1].hex()
            assert "tick" in request(url, "GET", f"/tx/0x{hash_}")[2].decode()


EXPLICIT, ALL, IMPLICIT = ({"include": each} for each in ("explicit", "all", "implicit"))


def test_version_1_lists_messages_of_blocks_only(network: Network) -> None:
    tipset = draft_tipset(network)
    head, rpc = network.mine(), client_of(network)
    block = {"/": show(head.block)}
    (message,) = rpc("Filecoin.ChainGetParentMessages", block)
    (receipt,) = rpc("Filecoin.ChainGetParentReceipts", block)
    assert rpc("Filecoin.ChainGetMessagesInTipset", [{"/": show(tipset.block)}]) == [message]
    assert (receipt["Message"], receipt["IpldCodec"], receipt["ExitCode"]) == (message["Cid"], None, 0)
    number, hash_ = hex(tipset.height), f"0x{tipset.hash.hex()}"
    assert rpc("eth_getBlockTransactionCountByNumber", number) == "0x1"
    assert rpc("eth_getBlockTransactionCountByHash", hash_) == "0x1"
    assert len(rpc("eth_getBlockReceipts", number)) == 1
    assert len(rpc("eth_getBlockByNumber", number, True)["transactions"]) == 1
    assert rpc("eth_getTransactionByBlockNumberAndIndex", number, "0x1") is None
    assert rpc("eth_getTransactionByBlockHashAndIndex", hash_, "0x1") is None


def test_version_2_lists_them_on_request(network: Network) -> None:
    tipset = draft_tipset(network)
    v2, chosen = v2_of(network), latest(tipset.height)
    for include, explicit, implicits in (None, 1, 0), ({}, 1, 0), (EXPLICIT, 1, 0), (ALL, 1, 2), (IMPLICIT, 0, 2):
        messages = v2("Filecoin.ChainGetMessages", chosen, include)
        receipts = v2("Filecoin.ChainGetReceipts", chosen, include)
        assert [each["Message"]["From"] == "t00" for each in messages] == [False] * explicit + [True] * implicits
        assert [each["Cid"] for each in messages] == [each["Message"] for each in receipts]
    before = v2("Filecoin.ChainGetMessages", latest(EPOCH), ALL)
    assert (before, v2("Filecoin.ChainGetReceipts", latest(EPOCH), IMPLICIT)) == ([], [])


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"include": "some"}, "include is .some., expected one of explicit, all, implicit"),
        ({"includes": "all"}, "unknown field 'includes' of a message option: expected include"),
        ("all", "is not a message option"),
    ],
)
def test_unknown_option_is_refused(network: Network, option: Any, words: str) -> None:
    with pytest.raises(Failed, match=words):
        v2_of(network)("Filecoin.ChainGetReceipts", {"tag": "latest"}, option)


def test_implicit_messages_are_found_by_cid_and_hash(network: Network) -> None:
    tipset = draft_tipset(network)
    rpc = client_of(network)
    encoded = implicit(CRON, tipset.height)
    cid = {"/": str(cid_of(encoded))}
    hash_ = f"0x{hashlib.blake2b(encoded, digest_size=32).hexdigest()}"
    message = rpc("Filecoin.ChainGetMessage", cid)
    assert (message["From"], message["To"], message["GasLimit"], message["CID"]) == ("t00", "t03", 0, cid)
    assert b64decode(rpc("Filecoin.ChainReadObj", cid)) == encoded
    assert rpc("Filecoin.EthGetTransactionHashByCid", cid) == hash_
    assert rpc("Filecoin.EthGetMessageCidByTransactionHash", hash_) == cid
    transaction, receipt = rpc("eth_getTransactionByHash", hash_), rpc("eth_getTransactionReceipt", hash_)
    system, cron = "0xff" + "00" * 19, "0xff" + "00" * 18 + "03"
    for found in transaction, receipt:
        assert (found["from"], found["to"], found["transactionIndex"]) == (system, cron, None)
        assert (int(found["blockNumber"], 16), found["blockHash"]) == (tipset.height, f"0x{tipset.hash.hex()}")
    assert (receipt["status"], receipt["logs"], transaction["nonce"]) == ("0x1", [], hex(tipset.height))
    looked_up = rpc("Filecoin.StateSearchMsg", [], cid, -1, True)
    *_, expected = stored(network, tipset)
    assert (looked_up["Height"], looked_up["Receipt"]["GasUsed"]) == (tipset.height, expected.gas_used)
    assert looked_up["Receipt"]["Message"] == cid


def test_methods_for_transactions_of_blocks_name_the_reason(network: Network) -> None:
    hash_ = f"0x{draft_tipset(network).implicit[-1].hex()}"
    with pytest.raises(Failed, match="is an implicit message \\(reward or cron\\), which no block contains"):
        client_of(network)("debug_traceTransaction", hash_)


def test_unknown_hash_has_no_receipt(network: Network) -> None:
    draft_tipset(network)
    rpc = client_of(network)
    old = f"0x{hashlib.blake2b(implicit(CRON, EPOCH), digest_size=32).hexdigest()}"  # of nv29
    assert rpc("eth_getTransactionByHash", old) is None
    assert rpc("eth_getTransactionReceipt", old) is None
    with pytest.raises(Failed, match="not found"):
        rpc("Filecoin.ChainGetMessage", {"/": str(cid_of(implicit(CRON, EPOCH)))})


def test_reverted_cron_has_no_receipt(network: Network) -> None:
    draft_tipset(network)
    snapshot = network.snapshot()
    tipset = network.mine()
    network.revert(snapshot)
    assert client_of(network)("eth_getTransactionReceipt", f"0x{tipset.implicit[-1].hex()}") is None
    again = network.mine(null_rounds=1)
    receipt = client_of(network)("eth_getTransactionReceipt", f"0x{tipset.implicit[-1].hex()}")
    assert (int(receipt["blockNumber"], 16), len(again.implicit)) == (again.height, 3)


@pytest.mark.slow
def test_reward_of_an_abandoned_block_has_no_receipt(network: Network) -> None:
    draft_tipset(network)
    snapshot = network.snapshot()
    abandoned = mine_transfer(network, 2)
    rpc, hash_ = client_of(network), f"0x{abandoned.implicit[2].hex()}"
    assert rpc("eth_getTransactionReceipt", hash_)["to"].endswith("02")
    network.revert(snapshot)
    network.mine(3)  # a block at each height: the reward at the last one has no tips
    assert network.block_number == abandoned.height
    assert rpc("eth_getTransactionReceipt", hash_) is None


@pytest.mark.slow
def test_replays_show_canonical_messages(network: Network) -> None:
    draft_tipset(network)
    tipset = network.mine(null_rounds=1)
    rpc, key = client_of(network), [{"/": show(network.head.block)}]
    last = tipset.height
    expected = [str(cid_of(each)) for each in (implicit(CRON, last - 1), award(last), implicit(CRON, last))]
    computed = rpc("Filecoin.StateCompute", last, [], key)
    assert [each["MsgCid"]["/"] for each in computed["Trace"]] == expected
    assert [each["MsgRct"]["Message"]["/"] for each in computed["Trace"]] == expected
    assert [each["ExecutionTrace"]["Msg"]["To"] for each in computed["Trace"]] == ["t03", "t02", "t03"]
    for cid, one in zip(expected, computed["Trace"], strict=True):
        assert rpc("Filecoin.StateReplay", key, {"/": cid}) == one
        assert one["Msg"]["GasLimit"] == 0


@pytest.mark.slow
def test_simulated_blocks_have_the_receipts_of_mined_ones(network: Network) -> None:
    """The second header contains the receipts of the first block, so its hash depends on them."""
    head, rpc = draft_tipset(network), client_of(network)
    times = [head.timestamp + 30, head.timestamp + 60]
    numbers = [hex(head.height + 2), hex(head.height + 3)]  # after a null round
    blocks = [
        {"blockOverrides": {"number": number, "time": hex(time)}} for number, time in zip(numbers, times, strict=True)
    ]
    simulated = rpc("eth_simulateV1", {"blockStateCalls": blocks, "validation": True}, "latest")
    for time, null_rounds in zip(times, (1, 0), strict=True):
        rpc("evm_setNextBlockTimestamp", hex(time))
        network.mine(null_rounds=null_rounds)
    mined = [rpc("eth_getBlockByNumber", number, False)["hash"] for number in numbers]
    assert [each["hash"] for each in simulated[-2:]] == mined


@pytest.mark.slow
def test_explorer_has_pages_for_cron_and_rewards(network: Network) -> None:
    draft_tipset(network)
    tipset = network.mine(null_rounds=1)
    with serving(network, pages=explorer([])) as url:
        page = request(url, "GET", f"/epoch/{tipset.height}")[2].decode()
        assert "Implicit messages <small>3</small>" in page
        for hash_, method in zip(tipset.implicit, ("EpochTick", "AwardBlockReward", "EpochTick"), strict=True):
            assert f"/tx/0x{hash_.hex()}" in page
            status, _, body = request(url, "GET", f"/tx/0x{hash_.hex()}")
            assert status == 200
            assert method in body.decode()
            assert "implicit, in no block" in body.decode()
            assert "Re-execution for this page produced another receipt" not in body.decode()
            assert request(url, "GET", f"/tx/0x{hash_.hex()}/call/0")[0] == 200
            assert request(url, "GET", f"/tx/0x{hash_.hex()}/flame.svg")[0] == 200
            assert request(url, "GET", f"/tx/0x{hash_.hex()}/changes")[0] == 404
        cid = str(cid_of(implicit(CRON, tipset.height)))
        assert "implicit, in no block" in request(url, "GET", f"/message/{cid}")[2].decode()
        null_round = request(url, "GET", f"/epoch/{tipset.height - 1}")[2].decode()
        assert f"/tx/0x{tipset.implicit[0].hex()}" in null_round
        before = request(url, "GET", f"/epoch/{EPOCH}")[2].decode()
        assert "Implicit messages" not in before


@pytest.mark.slow
def test_chain_is_replayed_and_extracted(tmp_path: Path) -> None:
    draft = written(tmp_path, RULE)
    with opened(draft, tmp_path / "chain") as network:
        first = draft_tipset(network)
        network.mine(null_rounds=2)
        last = transfer(network)
        both = mine_together(network, network.accounts[:2], DATACAP, NAME)
        assert [each.return_codec for each in stored(network, both)] == [CBOR, CBOR, None, None]
    for options in (), ("--parallel", 2):
        replayed = run("replay", tmp_path / "chain", "--network", draft, *options)
        assert (replayed.exit_code, "0 different" in replayed.output) == (0, True), replayed.output
    traced = run("trace", str(cid_of(implicit(CRON, last.height))), "--state", tmp_path / "chain", "--json")
    report = json.loads(traced.output)
    (call,) = report["calls"]
    assert (call["from"], call["to"], call["method"], report["reproduced"]) == ("f00", "f03", 2, True)
    for number, wanted in enumerate((EPOCH + 2, last.height, f"0x{last.transactions[0].hex()}")):
        out = tmp_path / f"{number}.json"
        done = run("extract", wanted, "--state", tmp_path / "chain", "--network", draft, "--out", out)
        assert done.exit_code == 0, done.output
        assert run("conformance", out, "--network", draft, "--workers", 1).exit_code == 0
    assert first.implicit != last.implicit


def test_receipts_are_proved_by_their_place_in_the_order_of_execution(network: Network) -> None:
    tipset = draft_tipset(network)
    head = network.mine().block
    read = partial(filecoin.read_proven_path, path="receipts/2")
    proof = filecoin.proof_of(network.machine.store, head, read)
    *_, cron = stored(network, tipset)
    found = filecoin.proven(proof, head, read)
    assert found["gasUsed"] == cron.gas_used
    assert (found["ipldCodec"], found["message"]) == (None, {"/": str(cid_of(implicit(CRON, tipset.height)))})


@pytest.mark.slow
def test_garbage_collection_keeps_implicit_messages(tmp_path: Path) -> None:
    draft = written(tmp_path, RULE)
    with opened(draft, tmp_path / "chain") as network:
        tipset = draft_tipset(network)
        network.mine(20)
    collected = run("gc", tmp_path / "chain", "--states", 2)
    assert collected.exit_code == 0, collected.output
    with opened(draft, tmp_path / "chain") as network:
        cid = parse_cid(str(cid_of(implicit(CRON, tipset.height))))
        assert network.machine.store.get(cid) == implicit(CRON, tipset.height)
        with serving(network, pages=explorer([])) as url:
            status, _, page = request(url, "GET", f"/tx/0x{tipset.implicit[-1].hex()}")
    assert (status, "cannot be executed again" in page.decode()) == (200, True)
