"""Filecoin's methods: shapes from lotus' OpenRPC document, values from the chain and other libraries."""

import asyncio
import hashlib
import json
from base64 import b64decode, b64encode
from typing import Any, ClassVar
from uuid import UUID

import dag_cbor
import pytest
from eth_account import Account as Oracle
from multiformats import CID

from bridge.ethereum.addresses import masked_id
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet import Network
from localnet.addresses import UNRESOLVED
from localnet.rpc.lotus_values import message_json
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher
from tests.localnet.rpc.asking import ALICE, ALICE_KEY, BOB, COUNTER, INBOX, NO_HASH, calldata, deploy, greet
from tests.localnet.rpc.conftest import Client, Failed, refusal

# Fields of lotus' objects (build/openrpc/full.json).
HEADER = (
    "Miner Ticket ElectionProof BeaconEntries WinPoStProof Parents ParentWeight Height ParentStateRoot "
    "ParentMessageReceipts Messages BLSAggregate Timestamp BlockSig ForkSignaling ParentBaseFee"
)
MESSAGE = "Version To From Nonce Value GasLimit GasFeeCap GasPremium Method Params CID"
RECEIPT = "ExitCode Return GasUsed EventsRoot"
INVOCATION = "MsgCid Msg MsgRct GasCost ExecutionTrace Error Duration"
GAS_COST = "Message GasUsed BaseFeeBurn OverEstimationBurn MinerPenalty MinerTip Refund TotalCost"
CALL = "Msg MsgRct InvokedActor GasCharges Subcalls"
MINER_INFO = (
    "Owner Worker NewWorker ControlAddresses WorkerChangeEpoch PeerId Multiaddrs WindowPoStProofType SectorSize "
    "WindowPoStPartitionSectors ConsensusFaultElapsed PendingOwnerAddress Beneficiary BeneficiaryTerm "
    "PendingBeneficiaryTerm"
)
NOBODY = "t" + str(Address.secp256k1(b"\x04" + bytes(64)))[1:]
INVOKE_EVM = 3844450837


def lotus(rpc: Client, method: str, *params: Any) -> Any:
    return rpc(f"Filecoin.{method}", *params)


def same_keys(value: dict[str, Any], names: str) -> bool:
    return set(value) == set(names.split())


def native(rpc: Client, number: int = 0) -> str:
    return "t" + str(rpc.node.network.accounts[number].native)[1:]


def delegated(rpc: Client, number: int = 0) -> str:
    return "t" + str(rpc.node.network.accounts[number].delegated)[1:]


def transfer(rpc: Client, **fields: Any) -> dict[str, Any]:
    return {"To": native(rpc, 1), "From": native(rpc), "Value": "5", **fields}


def pushed(rpc: Client, **fields: Any) -> dict[str, Any]:
    """Return a message that the node has filled in, signed and accepted."""
    found: dict[str, Any] = lotus(rpc, "MpoolPushMessage", transfer(rpc, **fields), None)
    return found


class TestChain:
    """Tipsets and their blocks."""

    def test_the_head_is_a_tipset_of_one_block(self, rpc: Client) -> None:
        rpc("anvil_mine", 2)
        head = lotus(rpc, "ChainHead")
        assert set(head) == {"Cids", "Blocks", "Height"}
        (block,) = head["Blocks"]
        assert same_keys(block, HEADER)
        assert (head["Height"], block["Height"]) == (2, 2)
        assert lotus(rpc, "ChainGetBlock", head["Cids"][0]) == block
        assert lotus(rpc, "ChainGetTipSet", head["Cids"]) == head
        assert lotus(rpc, "ChainGetTipSet", []) == lotus(rpc, "ChainGetTipSet", None) == head

    def test_the_ethereum_hash_of_a_block_is_that_of_the_tipsets_key(self, rpc: Client) -> None:
        rpc("evm_mine")
        (block,) = lotus(rpc, "ChainHead")["Cids"]
        key = hashlib.blake2b(dag_cbor.encode(bytes(CID.decode(block["/"]))), digest_size=32).hexdigest()
        # The digest of the CID of the key: CBOR of the joined CIDs.
        assert rpc("eth_getBlockByNumber", "latest", False)["hash"] == "0x" + key

    def test_blocks_of_the_store_have_the_hash_that_names_them(self, rpc: Client) -> None:
        (block,) = lotus(rpc, "ChainHead")["Cids"]
        data = b64decode(lotus(rpc, "ChainReadObj", block))
        digest = CID.decode(block["/"]).raw_digest
        assert hashlib.blake2b(data, digest_size=32).digest() == digest
        fields = dag_cbor.decode(data)
        assert isinstance(fields, list)
        assert len(fields) == 16
        assert lotus(rpc, "ChainHasObj", block) is True
        assert lotus(rpc, "ChainStatObj", block)["Size"] > len(data)

    def test_a_block_that_is_not_there(self, rpc: Client) -> None:
        absent = {"/": str(CID("base32", 1, "dag-cbor", ("blake2b-256", bytes(32))))}
        assert lotus(rpc, "ChainHasObj", absent) is False
        for method, params in (("ChainReadObj", absent), ("ChainGetBlock", absent), ("ChainGetTipSet", [absent])):
            with refusal(1):
                lotus(rpc, method, params)

    def test_tipsets_by_height_around_null_rounds(self, rpc: Client) -> None:
        rpc("hypervisor_mineAfterNullRounds", 2)
        assert lotus(rpc, "ChainHead")["Height"] == 3
        assert [lotus(rpc, "ChainGetTipSetByHeight", height, None)["Height"] for height in range(4)] == [0, 0, 0, 3]
        after = [lotus(rpc, "ChainGetTipSetAfterHeight", height, [])["Height"] for height in range(4)]
        assert after == [0, 3, 3, 3]
        genesis = lotus(rpc, "ChainGetGenesis")
        assert (genesis["Height"], genesis["Blocks"][0]["Parents"]) == (0, [])
        with pytest.raises(Failed, match="greater than start point"):
            lotus(rpc, "ChainGetTipSetByHeight", 4, None)
        with pytest.raises(Failed, match="greater than start point"):
            lotus(rpc, "ChainGetTipSetByHeight", 3, genesis["Cids"])

    def test_path_reverts_or_applies_the_tipsets_between_two_others(self, rpc: Client) -> None:
        """Source: lotus chain/store `GetPath`: reverted tipsets newest first, applied ones oldest first."""
        genesis = lotus(rpc, "ChainHead")
        rpc("hypervisor_mineAfterNullRounds", 1)
        rpc("evm_mine")
        second = lotus(rpc, "ChainHead")
        first = lotus(rpc, "ChainGetTipSet", second["Blocks"][0]["Parents"])
        path = [{"Type": "apply", "Val": each} for each in (first, second)]
        assert lotus(rpc, "ChainGetPath", genesis["Cids"], second["Cids"]) == path
        reverted = [{**change, "Type": "revert"} for change in reversed(path)]
        assert lotus(rpc, "ChainGetPath", second["Cids"], genesis["Cids"]) == reverted
        assert lotus(rpc, "ChainGetPath", first["Cids"], first["Cids"]) == []

    def test_messages_are_in_their_block_and_receipts_in_next(self, rpc: Client) -> None:
        first = pushed(rpc)
        (block,) = lotus(rpc, "ChainHead")["Cids"]
        messages = lotus(rpc, "ChainGetBlockMessages", block)
        assert messages == {"BlsMessages": [], "SecpkMessages": [first], "Cids": [first["CID"]]}
        expected = [{"Cid": first["CID"], "Message": first["Message"]}]
        assert lotus(rpc, "ChainGetMessagesInTipset", None) == expected
        rpc("evm_mine")
        (next_block,) = lotus(rpc, "ChainHead")["Cids"]
        assert lotus(rpc, "ChainGetParentMessages", next_block) == expected
        (receipt,) = lotus(rpc, "ChainGetParentReceipts", next_block)
        assert same_keys(receipt, RECEIPT)
        assert (receipt["ExitCode"], receipt["Return"]) == (0, None)
        # The receipts' list is what the header names.
        root = lotus(rpc, "ChainGetBlock", next_block)["ParentMessageReceipts"]
        listed: Any = dag_cbor.decode(b64decode(lotus(rpc, "ChainReadObj", root)))
        assert listed[:2] == [0, 1]  # height and count

    def test_a_message_by_its_cid_and_by_its_hash(self, rpc: Client) -> None:
        sent = greet(rpc, deploy(rpc, INBOX))
        cid = lotus(rpc, "EthGetMessageCidByTransactionHash", sent)
        assert lotus(rpc, "EthGetTransactionHashByCid", cid) == sent
        message = lotus(rpc, "ChainGetMessage", cid)
        assert (message["From"], message["Method"]) == (delegated(rpc), INVOKE_EVM)
        assert lotus(rpc, "EthGetMessageCidByTransactionHash", NO_HASH) is None
        native_cid = pushed(rpc)["CID"]
        found = lotus(rpc, "EthGetTransactionHashByCid", native_cid)
        assert found == "0x" + CID.decode(native_cid["/"]).raw_digest.hex()
        assert lotus(rpc, "EthGetMessageCidByTransactionHash", found) == native_cid
        (block,) = lotus(rpc, "ChainHead")["Cids"]
        assert lotus(rpc, "EthGetTransactionHashByCid", block) is None  # a block, but no message

    def test_events_of_a_receipt(self, rpc: Client) -> None:
        sent = greet(rpc, deploy(rpc, INBOX))
        cid = lotus(rpc, "EthGetMessageCidByTransactionHash", sent)
        root = lotus(rpc, "StateSearchMsg", None, cid, -1, True)["Receipt"]["EventsRoot"]
        (event,) = lotus(rpc, "ChainGetEvents", root)
        (log,) = rpc("eth_getTransactionReceipt", sent)["logs"]
        assert [entry["Key"] for entry in event["Entries"]] == ["t1", "t2", "d"][: len(event["Entries"])]
        assert "0x" + b64decode(event["Entries"][0]["Value"]).hex() == log["topics"][0]


class TestState:
    """Actors, addresses, and the network."""

    def test_an_actor_as_the_state_tree_has_it(self, rpc: Client) -> None:
        actor = lotus(rpc, "StateGetActor", delegated(rpc), None)
        assert set(actor) == {"Code", "Head", "Nonce", "Balance", "DelegatedAddress"}
        assert (actor["Balance"], actor["DelegatedAddress"]) == (str(10_000 * 10**18), delegated(rpc))
        assert lotus(rpc, "StateGetActor", native(rpc), None)["DelegatedAddress"] is None
        codes = lotus(rpc, "StateActorCodeCIDs", 29)
        assert len(codes) == 16
        assert codes["ethaccount"] == actor["Code"]

    def test_an_older_tipset_has_its_own_state(self, rpc: Client) -> None:
        before = lotus(rpc, "ChainHead")["Cids"]
        pushed(rpc)
        assert lotus(rpc, "StateGetActor", native(rpc), before)["Nonce"] == 0
        assert lotus(rpc, "StateGetActor", native(rpc), [])["Nonce"] == 1

    def test_addresses_lead_to_one_another(self, rpc: Client) -> None:
        for owner in (native(rpc), delegated(rpc)):
            number = lotus(rpc, "StateLookupID", owner, None)
            assert number.startswith("t0")
            assert lotus(rpc, "StateLookupID", number, None) == number
            assert lotus(rpc, "StateAccountKey", number, None) == owner
            assert lotus(rpc, "StateLookupRobustAddress", number, None) == owner
        assert lotus(rpc, "EthAddressToFilecoinAddress", ALICE) == delegated(rpc)
        assert lotus(rpc, "StateLookupID", "f" + native(rpc)[1:], None) == lotus(
            rpc, "StateLookupID", native(rpc), None
        )
        assert lotus(rpc, "FilecoinAddressToEthAddress", delegated(rpc), "finalized") == ALICE
        with pytest.raises(Failed, match="it is not an account"):
            lotus(rpc, "StateAccountKey", "f04", None)

    def test_states_have_the_names_of_their_schema(self, rpc: Client) -> None:
        init = lotus(rpc, "StateReadState", "f01", None)
        assert set(init) == {"Balance", "Code", "State"}
        assert init["State"]["NetworkName"] == lotus(rpc, "StateNetworkName") == "localnet"
        assert set(init["State"]["AddressMap"]) == {"/"}
        assert lotus(rpc, "StateReadState", native(rpc), None)["State"] == {"Address": native(rpc)}
        power = lotus(rpc, "StateReadState", "f04", None)["State"]
        assert (power["TotalRawBytePower"], power["MinerCount"]) == ("0", 0)

    def test_network_name_and_version_are_reported(self, rpc: Client) -> None:
        assert lotus(rpc, "StateNetworkVersion", None) == 29
        assert lotus(rpc, "StateCirculatingSupply", None) == str(200_000 * 10**18)
        assert set(lotus(rpc, "Version")) == {"Version", "APIVersion", "BlockDelay"}
        assert {"t00", "t01", "t04", "t099"} <= set(lotus(rpc, "StateListActors", None))

    def test_beacon_randomness_rpc_matches_precompile(self, rpc: Client) -> None:
        # calldatacopy(0, 0, 32); staticcall(gas, 0xfe..06, 0, 32, 0, 32); return(0, 32)
        code = "60206000600037" + "602060006020600073fe000000000000000000000000000000000000065afa50" + "60206000f3"
        init = f"60{len(code) // 2:02x}600c60003960{len(code) // 2:02x}6000f3" + code
        sent = rpc("eth_sendTransaction", {"from": ALICE, "data": "0x" + init})
        reader = rpc("eth_getTransactionReceipt", sent)["contractAddress"]
        rpc("anvil_mine", 3)
        for epoch in range(lotus(rpc, "ChainHead")["Height"] + 1):
            read = rpc("eth_call", {"to": reader, "data": f"0x{epoch:064x}"})
            digest = b64decode(lotus(rpc, "StateGetRandomnessDigestFromBeacon", epoch, None))
            assert read == "0x" + digest.hex()
            assert int(read, 16) != 0
        with pytest.raises(Failed, match="future"):
            lotus(rpc, "StateGetRandomnessDigestFromBeacon", 1000, None)

    def test_randomness_is_drawn_for_a_purpose(self, rpc: Client) -> None:
        rpc("evm_mine")
        digest = b64decode(lotus(rpc, "StateGetRandomnessDigestFromTickets", 1, None))
        drawn = lotus(rpc, "StateGetRandomnessFromTickets", 5, 1, b64encode(b"entropy").decode(), None)
        # lotus chain/rand DrawRandomnessFromDigest: blake2b-256 of tag, digest, epoch and entropy.
        preimage = (5).to_bytes(8, "big") + digest + (1).to_bytes(8, "big") + b"entropy"
        assert b64decode(drawn) == hashlib.blake2b(preimage, digest_size=32).digest()
        entry = b64decode(lotus(rpc, "StateGetBeaconEntry", 1)["Data"])
        beacon = b64decode(lotus(rpc, "StateGetRandomnessDigestFromBeacon", 1, None))
        assert beacon == hashlib.blake2b(entry, digest_size=32).digest()


class TestMessages:
    """Execution: calls, replays, receipts."""

    def test_state_call_keeps_no_state_and_returns_trace(self, rpc: Client) -> None:
        found = lotus(rpc, "StateCall", transfer(rpc), None)
        assert same_keys(found, INVOCATION)
        assert same_keys(found["GasCost"], GAS_COST)
        assert same_keys(found["MsgRct"], RECEIPT)
        assert same_keys(found["ExecutionTrace"], CALL)
        assert (found["MsgRct"]["ExitCode"], found["Error"]) == (0, "")
        assert found["ExecutionTrace"]["Msg"]["Value"] == "5"
        assert lotus(rpc, "StateGetActor", native(rpc), None)["Nonce"] == 0

    def test_a_call_that_fails_is_an_answer(self, rpc: Client) -> None:
        found = lotus(rpc, "StateCall", {"To": "f04", "From": native(rpc), "Value": "0", "Method": 99}, None)
        assert found["MsgRct"]["ExitCode"] == 22
        assert found["Error"].startswith("message failed with backtrace:\n00: f04 (method 99) -- ")
        assert found["Error"].endswith(" (22)\n (RetCode=22)")
        with pytest.raises(Failed, match="actor not found"):
            lotus(rpc, "StateCall", transfer(rpc, From=NOBODY), None)

    def test_a_replay_has_the_receipt_the_costs_and_the_calls(self, rpc: Client) -> None:
        before = int(lotus(rpc, "WalletBalance", native(rpc)))
        message = pushed(rpc)
        key = lotus(rpc, "ChainHead")["Cids"]
        found = lotus(rpc, "StateReplay", key, message["CID"])
        assert found == lotus(rpc, "StateReplay", [], message["CID"])
        assert same_keys(found, INVOCATION)
        assert found["MsgRct"] == lotus(rpc, "StateSearchMsg", None, message["CID"], -1, True)["Receipt"]
        assert int(lotus(rpc, "WalletBalance", native(rpc))) == before - 5 - int(found["GasCost"]["TotalCost"])
        with pytest.raises(Failed, match="not found"):
            lotus(rpc, "StateReplay", lotus(rpc, "ChainGetGenesis")["Cids"], message["CID"])

    def test_calls_of_calls_are_in_the_trace(self, rpc: Client) -> None:
        sent = rpc("eth_sendTransaction", {"from": ALICE, "data": "0x" + INBOX.bytecode.hex()})
        cid = lotus(rpc, "EthGetMessageCidByTransactionHash", sent)
        trace = lotus(rpc, "StateReplay", None, cid)["ExecutionTrace"]
        assert (trace["Msg"]["To"], trace["Msg"]["Method"]) == ("t010", 4)  # EAM.CreateExternal, then Init.Exec4
        assert [call["Msg"]["To"] for call in trace["Subcalls"]] == ["t01"]
        assert trace["InvokedActor"]["Id"] == 10
        assert trace["GasCharges"]

    def test_looking_for_a_message(self, rpc: Client) -> None:
        message = pushed(rpc)
        found = lotus(rpc, "StateSearchMsg", [], message["CID"], -1, True)
        assert set(found) == {"Message", "Receipt", "ReturnDec", "TipSet", "Height"}
        assert (found["Height"], found["TipSet"]) == (1, lotus(rpc, "ChainHead")["Cids"])
        assert lotus(rpc, "StateSearchMsg", message["CID"]) == found  # the older form
        assert lotus(rpc, "StateWaitMsg", message["CID"], 2, 100, False) == found
        rpc("anvil_mine", 5)
        assert lotus(rpc, "StateSearchMsg", [], message["CID"], 2, True) is None

    def test_receipt_and_limited_search_of_a_message(self, rpc: Client) -> None:
        cid = pushed(rpc)["CID"]
        found = lotus(rpc, "StateSearchMsg", cid)
        assert lotus(rpc, "StateGetReceipt", cid, None) == found["Receipt"]
        rpc("evm_mine")
        assert [lotus(rpc, "StateSearchMsgLimited", cid, limit) for limit in (-1, 1, 0)] == [found, found, None]
        absent = lotus(rpc, "ChainHead")["Cids"][0]
        assert lotus(rpc, "StateGetReceipt", absent, None) is None
        with refusal(1, "is not a message"):
            lotus(rpc, "StateSearchMsgLimited", absent, -1)

    def test_waiting_for_a_message_ends_with_its_block(self, network: Network) -> None:
        node = Node(network, NodeLimits(wait=5))
        rpc = Client(node)
        network.automine = False
        message = pushed(rpc)
        body = {"jsonrpc": "2.0", "id": 1, "method": "Filecoin.StateWaitMsg", "params": [message["CID"], 0]}

        async def run(work: Any) -> Any:
            return work()

        async def wait() -> Any:
            waiting = asyncio.ensure_future(Dispatcher(node, run).dispatch(json.dumps(body).encode()))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            network.mine()
            return json.loads(await waiting)

        assert asyncio.run(wait())["result"]["Receipt"]["ExitCode"] == 0

    def test_waiting_has_an_end(self, network: Network) -> None:
        rpc = Client(Node(network, NodeLimits(wait=0)))
        network.automine = False
        message = pushed(rpc)
        with refusal(-32000, "has no block yet"):
            lotus(rpc, "StateWaitMsg", message["CID"], 0)

    def test_deferred_receipt_and_state_come_with_next_tipset(self, rpc: Client) -> None:
        chain = rpc.node.network.chain
        chain.deferred = True
        try:
            before = lotus(rpc, "WalletBalance", native(rpc, 1))
            message = pushed(rpc)
            assert lotus(rpc, "StateSearchMsg", message["CID"]) is None
            assert lotus(rpc, "WalletBalance", native(rpc, 1)) == before
            assert lotus(rpc, "StateGetActor", native(rpc), None)["Nonce"] == 0
            assert lotus(rpc, "MpoolGetNonce", native(rpc)) == 1
            rpc("evm_mine")
            found = lotus(rpc, "StateSearchMsg", [], message["CID"], 0, True)  # the head has the receipt: no look-back
            assert found["Receipt"]["ExitCode"] == 0
            assert lotus(rpc, "WalletBalance", native(rpc, 1)) == str(int(before) + 5)
        finally:
            chain.deferred = False

    def test_messages_of_an_address(self, rpc: Client) -> None:
        first, second = pushed(rpc), pushed(rpc)
        rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        found = lotus(rpc, "StateListMessages", {"From": native(rpc)}, None, 0)
        assert found == [second["CID"], first["CID"]]
        assert lotus(rpc, "StateListMessages", {"From": native(rpc), "To": native(rpc, 2)}, None, 0) == []
        with pytest.raises(Failed, match="must specify"):
            lotus(rpc, "StateListMessages", {}, None, 0)


class TestMempool:
    """Estimates and pending messages."""

    def test_gas_is_filled_in_where_it_is_zero(self, rpc: Client) -> None:
        used = lotus(rpc, "GasEstimateGasLimit", transfer(rpc), None)
        filled = lotus(rpc, "GasEstimateMessageGas", transfer(rpc), None, None)
        assert same_keys(filled, MESSAGE)
        assert filled["GasLimit"] == used * 5 // 4
        assert filled["GasPremium"] == lotus(rpc, "GasEstimateGasPremium", 10, native(rpc), 0, None) == "100000"
        base_fee = rpc.node.network.base_fee
        # lotus node/impl/gasutils: the base fee after 20 rises by an eighth, and the premium.
        assert int(filled["GasFeeCap"]) == 100_000 + base_fee * 9**20 // 8**20
        given = lotus(rpc, "GasEstimateMessageGas", {**transfer(rpc), "GasLimit": 7, "GasPremium": "3"}, None, None)
        assert (given["GasLimit"], given["GasPremium"]) == (7, "3")

    def test_the_most_that_may_be_paid_bounds_the_fee_cap(self, rpc: Client) -> None:
        filled = lotus(rpc, "GasEstimateMessageGas", transfer(rpc), {"MaxFee": "1000000000"}, None)
        assert int(filled["GasFeeCap"]) * filled["GasLimit"] <= 10**9
        assert int(filled["GasPremium"]) <= int(filled["GasFeeCap"])

    def test_fee_cap_is_the_maximum_fee_if_it_is_maximized(self, rpc: Client) -> None:
        """Source: lotus chain/messagepool `CapGasFee`; the default of 0.07 FIL is that of node/config/def.go."""
        for spec, fee in (({"MaxFee": str(10**12)}, 10**12), ({}, 7 * 10**16)):
            filled = lotus(rpc, "GasEstimateMessageGas", transfer(rpc), {**spec, "MaximizeFeeCap": True}, None)
            assert int(filled["GasFeeCap"]) == fee // filled["GasLimit"]
            assert filled["GasPremium"] == "100000"

    def test_fee_is_at_most_the_default_maximum(self, rpc: Client) -> None:
        message = transfer(rpc, GasLimit=10**7, GasFeeCap=str(10**12), GasPremium=str(10**12))
        for spec in (None, {"MaxFee": "0"}):
            filled = lotus(rpc, "GasEstimateMessageGas", message, spec, None)
            assert filled["GasFeeCap"] == filled["GasPremium"] == str(7 * 10**9)
        assert lotus(rpc, "GasEstimateMessageGas", message, {"MaxFee": str(10**20)}, None)["GasFeeCap"] == str(10**12)

    def test_push_with_a_known_uuid_returns_the_first_message(self, rpc: Client) -> None:
        """Source: lotus node/impl/full/mpool.go; the UUID of zeros is none (lotus#9299)."""
        spec = {"MsgUuid": "11111111-2222-3333-4444-aaaaaaaaaaaa"}
        first = lotus(rpc, "MpoolPushMessage", transfer(rpc), spec)
        for changed in ({}, {"Value": "7"}, {"Nonce": 99}, {"From": NOBODY}, {"Value": str(10**30)}):
            assert lotus(rpc, "MpoolPushMessage", transfer(rpc, **changed), spec) == first
        assert (
            lotus(rpc, "MpoolBatchPushMessage", [transfer(rpc)] * 2, {"MsgUuid": spec["MsgUuid"].upper()})
            == [first] * 2
        )
        others: tuple[dict[str, str] | None, ...] = (
            {"MsgUuid": "11111111-2222-3333-4444-bbbbbbbbbbbb"},
            {"MsgUuid": str(UUID(int=0))},
            {},
            None,
        )
        nonces = [lotus(rpc, "MpoolPushMessage", transfer(rpc), other)["Message"]["Nonce"] for other in others]
        assert nonces == [1, 2, 3, 4]
        with refusal(-32602, "MsgUuid: '7' is not a UUID"):
            lotus(rpc, "MpoolPushMessage", transfer(rpc), {"MsgUuid": "7"})

    def test_refused_push_does_not_use_up_its_uuid(self, rpc: Client) -> None:
        spec = {"MsgUuid": "11111111-2222-3333-4444-cccccccccccc"}
        with refusal(3):
            lotus(rpc, "MpoolPushMessage", {"To": "f04", "From": native(rpc), "Method": 99}, spec)
        assert lotus(rpc, "MpoolPushMessage", transfer(rpc), spec)["Message"]["Nonce"] == 0

    def test_uuid_of_a_message_that_was_reverted_is_free(self, rpc: Client) -> None:
        spec, snapshot = {"MsgUuid": "11111111-2222-3333-4444-dddddddddddd"}, rpc("evm_snapshot")
        first = lotus(rpc, "MpoolPushMessage", transfer(rpc), spec)
        rpc("evm_revert", snapshot)
        again = lotus(rpc, "MpoolPushMessage", transfer(rpc, Value="8"), spec)
        assert (again["Message"]["Value"], again["Message"]["Nonce"]) == ("8", first["Message"]["Nonce"])
        rpc("evm_setAutomine", False)
        waiting = {"MsgUuid": "11111111-2222-3333-4444-eeeeeeeeeeee"}
        pending = lotus(rpc, "MpoolPushMessage", transfer(rpc), waiting)
        assert lotus(rpc, "MpoolPushMessage", transfer(rpc), waiting) == pending

    def test_pushed_message_has_no_nonce_or_the_next_one(self, rpc: Client) -> None:
        with refusal(1, "expects message nonce to be 0, was 99"):
            lotus(rpc, "MpoolPushMessage", transfer(rpc, Nonce=99), None)
        sent = [lotus(rpc, "MpoolPushMessage", transfer(rpc, Nonce=nonce), None) for nonce in (0, 1, 2)]
        assert [signed["Message"]["Nonce"] for signed in sent] == [0, 1, 2]

    def test_lotus_gas_estimate_of_failing_message_reports_reason(self, rpc: Client) -> None:
        with refusal(3, "message execution failed: exit USR_UNHANDLED_MESSAGE"):
            lotus(rpc, "GasEstimateMessageGas", {"To": "f04", "From": native(rpc), "Method": 99}, None, None)
        with pytest.raises(Failed, match="actor not found"):
            lotus(rpc, "GasEstimateMessageGas", transfer(rpc, From=NOBODY), None, None)

    def test_mpool_push_returns_cid_of_signed_message(self, rpc: Client) -> None:
        nonce = lotus(rpc, "MpoolGetNonce", native(rpc))
        filled = lotus(rpc, "GasEstimateMessageGas", transfer(rpc, Nonce=nonce), None, None)
        signed = lotus(rpc, "WalletSignMessage", native(rpc), filled)
        assert (
            lotus(rpc, "MpoolPush", {"Message": signed["Message"], "Signature": signed["Signature"]}) == signed["CID"]
        )
        assert lotus(rpc, "StateSearchMsg", signed["CID"])["Receipt"]["ExitCode"] == 0
        assert lotus(rpc, "WalletBalance", native(rpc, 1)) == str(10_000 * 10**18 + 5)
        assert lotus(rpc, "MpoolGetNonce", native(rpc)) == nonce + 1

    def test_a_wrong_signature_is_refused(self, rpc: Client) -> None:
        filled = lotus(rpc, "GasEstimateMessageGas", transfer(rpc), None, None)
        signed = lotus(rpc, "WalletSignMessage", native(rpc), filled)
        with refusal(-32003, "signature"):
            lotus(rpc, "MpoolPush", {"Message": {**signed["Message"], "Value": "6"}, "Signature": signed["Signature"]})

    def test_pending_message_is_listed_and_selected(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        message = pushed(rpc)
        assert lotus(rpc, "MpoolPending", None) == [message]
        assert lotus(rpc, "MpoolSelect", None, 0.8) == [message]
        assert lotus(rpc, "MpoolGetNonce", native(rpc)) == 1
        assert lotus(rpc, "ChainGetMessage", message["CID"]) == message["Message"]

    def test_an_ethereum_account_sends_messages_as_transactions(self, rpc: Client) -> None:
        inbox = deploy(rpc, INBOX)
        to = lotus(rpc, "EthAddressToFilecoinAddress", inbox)
        greeting = bytes.fromhex(calldata(INBOX, "greet", "hi")[2:])
        params = b64encode(dag_cbor.encode(greeting)).decode()
        message = lotus(
            rpc, "MpoolPushMessage", {"To": to, "From": delegated(rpc), "Method": INVOKE_EVM, "Params": params}, None
        )
        assert message["Signature"]["Type"] == 3
        sent = lotus(rpc, "EthGetTransactionHashByCid", message["CID"])
        assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert rpc("eth_getTransactionByHash", sent)["input"] == "0x" + greeting.hex()
        with pytest.raises(Failed, match="signs Ethereum's transactions only"):
            lotus(rpc, "MpoolPushMessage", {"To": "f01", "From": delegated(rpc), "Method": 99, "GasLimit": 10**7}, None)


class TestNativeMessagesForEthereum:
    """Messages that are no transactions, in Ethereum's methods (lotus node/impl/eth/utils.go)."""

    BLS = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    NEW: ClassVar = {
        "f1": Address.secp256k1(b"\x04" + b"\x42" * 64),
        "f3": Address(Protocol.BLS, bytes.fromhex(BLS)),
    }

    def views(self, rpc: Client, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the transaction and the receipt of a message by each method."""
        sent = lotus(rpc, "EthGetTransactionHashByCid", message["CID"])
        shown = rpc("eth_getTransactionByHash", sent)
        number, index = shown["blockNumber"], shown["transactionIndex"]
        return [
            shown,
            rpc("eth_getTransactionReceipt", sent),
            rpc("eth_getTransactionByBlockNumberAndIndex", number, index),
            rpc("eth_getTransactionByBlockHashAndIndex", shown["blockHash"], index),
            rpc("eth_getBlockByNumber", number, True)["transactions"][int(index, 16)],
            rpc("eth_getBlockReceipts", number)[int(index, 16)],
        ]

    @pytest.mark.parametrize("to", NEW.values(), ids=NEW)
    def test_receiver_of_creating_transfer_is_its_masked_id(self, rpc: Client, to: Address) -> None:
        message = pushed(rpc, To=str(to))
        expected = "0x" + masked_id(int(lotus(rpc, "StateLookupID", str(to), None)[2:])).hex()
        views = self.views(rpc, message)
        assert {view["to"] for view in views} == {expected}
        (trace,) = rpc("trace_transaction", views[0]["hash"])
        called = rpc("debug_traceTransaction", views[0]["hash"], {"tracer": "callTracer"})
        assert trace["action"]["to"] == called["to"] == expected
        options = {"tracer": "prestateTracer", "tracerConfig": {"includeEmpty": True}}
        assert expected in rpc("debug_traceTransaction", views[0]["hash"], options)
        assert expected in rpc("trace_replayTransaction", views[0]["hash"], ["stateDiff"])["stateDiff"]

    @pytest.mark.parametrize("subaddress", [b"\x11" * 19, masked_id(1234)], ids=["19 bytes", "masked ID"])
    def test_message_to_no_address_of_ethereum_is_refused(self, rpc: Client, subaddress: bytes) -> None:
        """Source: lotus node/impl/full/mpool.go, `sanityCheckOutgoingMessage`."""
        with refusal(-32003, "is a delegated address but not a valid Eth Address"):
            pushed(rpc, To=str(Address.delegated(10, subaddress)))

    def test_receiver_without_actor_is_the_sentinel_until_the_tipset_creates_it(self, rpc: Client) -> None:
        """Lotus looks addresses up in the state after the tipset."""
        absent, created = (Address.secp256k1(b"\x04" + bytes([byte]) * 64) for byte in (7, 8))
        message = pushed(rpc, To=str(absent), GasLimit=900_000)  # out of gas before the creation
        assert {view["to"] for view in self.views(rpc, message)} == {"0x" + UNRESOLVED.hex()}
        rpc("evm_setAutomine", False)
        failed = pushed(rpc, To=str(created), GasLimit=900_000)
        pushed(rpc, To=str(created), GasLimit=10_000_000)
        rpc("evm_mine")
        views = self.views(rpc, failed)
        assert views[1]["status"] == "0x0"
        assert len({view["to"] for view in views} - {"0x" + UNRESOLVED.hex()}) == 1
        assert views[0]["to"].startswith("0xff" + "00" * 11)
        assert {view["to"] for view in views} == {views[0]["to"]}

    @pytest.mark.slow
    def test_lookback_limit_hides_older_transactions(self, rpc: Client) -> None:
        """A limit is a number of epochs back from the head (lotus node/impl/eth/transaction.go)."""
        sent = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        number = rpc("eth_blockNumber")
        rpc("anvil_mine", 20)
        for name in ("TransactionByHash", "TransactionReceipt"):
            limited = [lotus(rpc, f"EthGet{name}Limited", sent, limit) for limit in (5, 19, 20, 100, -1)]
            assert limited == [None, None, *[rpc(f"eth_get{name}", sent)] * 3]
        for limit in (20, 100, -1):
            assert lotus(rpc, "EthGetBlockReceiptsLimited", number, limit) == rpc("eth_getBlockReceipts", number)
        with refusal(1, "is older than the allowed lookback limit"):
            lotus(rpc, "EthGetBlockReceiptsLimited", number, 5)

    @pytest.mark.parametrize(
        ("params", "shown"),
        [
            ("420102", "0x0102"),
            ("580101", "0x868e10c4"),
            ("5f4101ff", "0x868e10c4"),
            ("41014102", "0x01"),
            ("40", "0x"),
        ],
    )
    def test_input_of_invoke_evm_is_that_of_cbor_gen(self, rpc: Client, params: str, shown: str) -> None:
        """Values: ReadByteArray of cbor-gen 0.3.1; the calldata of handle_filecoin_method where it fails."""
        to = lotus(rpc, "EthAddressToFilecoinAddress", deploy(rpc, COUNTER))
        encoded = b64encode(bytes.fromhex(params)).decode()
        message = pushed(rpc, To=to, Value="0", Method=INVOKE_EVM, Params=encoded, GasLimit=100_000_000)
        view = self.views(rpc, message)[0]
        (trace,) = rpc("trace_transaction", view["hash"])
        for found in (view["input"], trace["action"]["input"]):
            assert found.startswith(shown)
            assert len(found) == len(shown) or shown == "0x868e10c4"

    def test_creation_with_unreadable_parameters_is_a_call_of_the_address_manager(self, rpc: Client) -> None:
        """cbor-gen does not read the chunked string, although the actor does: then Lotus keeps the receiver."""
        chunked = b64encode(b"\x5f\x41\x00\xff").decode()
        message = pushed(rpc, To="t010", Value="0", Method=4, Params=chunked, GasLimit=100_000_000)
        views = self.views(rpc, message)
        assert {view["to"] for view in views} == {"0x" + masked_id(10).hex()}
        assert views[0]["input"].startswith("0x868e10c4")
        assert (views[1]["status"], views[1]["contractAddress"]) == ("0x1", None)


class TestChecks:
    """Checks of messages before they are pushed: lotus chain/messagepool/check.go, numbers of api/types.go."""

    def check(self, rpc: Client, *messages: dict[str, Any], valid_nonce: bool = True) -> list[dict[int, Any]]:
        """Return for each message its checks by number: True, or the error."""
        prototypes = [{"Message": message, "ValidNonce": valid_nonce} for message in messages]
        return [
            {check["Code"]: check["Err"] or check["OK"] for check in checks}
            for checks in lotus(rpc, "MpoolCheckMessages", prototypes)
        ]

    def priced(self, rpc: Client, **fields: Any) -> dict[str, Any]:
        return transfer(rpc, **{"GasLimit": 10**7, "GasFeeCap": str(10**9), "GasPremium": "1", **fields})

    def test_valid_message_passes_all_checks_in_order(self, rpc: Client) -> None:
        (checks,) = lotus(rpc, "MpoolCheckMessages", [{"Message": self.priced(rpc), "ValidNonce": True}])
        assert [check["Code"] for check in checks] == [9, 11, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
        assert all(check["OK"] and not check["Err"] for check in checks)
        hints = {check["Code"]: check["Hint"] for check in checks}
        balance = lotus(rpc, "WalletBalance", native(rpc))
        assert (hints[9], hints[11], hints[1], hints[10]) == (
            {"nonce": 0},
            {"balance": balance},
            None,
            {"nextNonce": 0},
        )
        assert hints[12] == {"requiredFunds": str(10**16 + 5)}
        cid = lotus(rpc, "GasEstimateMessageGas", self.priced(rpc), {"MaxFee": str(10**20)}, None)["CID"]
        assert {json.dumps(check["Cid"]) for check in checks} == {json.dumps(cid)}

    @pytest.mark.parametrize(
        ("changed", "code", "error"),
        [
            ({"Nonce": 3}, 10, "message nonce doesn't match next nonce (0)"),
            ({"Value": str(10**28)}, 3, "syntactically invalid message: 'Value' field cannot be greater than total"),
            ({"GasPremium": str(10**10)}, 3, "syntactically invalid message: 'GasFeeCap' less than 'GasPremium'"),
            ({"GasLimit": 0}, 3, "syntactically invalid message: 'GasLimit' field 0 must be positive"),
            ({"GasLimit": 10**11}, 3, "syntactically invalid message: 'GasLimit' field cannot be greater than a block"),
            ({"GasLimit": 5}, 4, "GasLimit less than epoch minimum gas"),
            ({"GasFeeCap": "99"}, 5, "GasFeeCap less than minimum base fee"),
            ({"Value": str(10**26)}, 12, "insufficient balance"),
            ({"Params": b64encode(bytes(65_500)).decode(), "GasLimit": 10**9}, 2, "message too big"),
            ({"From": NOBODY}, 9, "error retrieving state nonce: "),
        ],
    )
    def test_invalid_message_fails_a_check(self, rpc: Client, changed: dict[str, Any], code: int, error: str) -> None:
        (checks,) = self.check(rpc, self.priced(rpc, **changed))
        failed = {number: found for number, found in checks.items() if found is not True}
        assert set(failed) == {code}
        assert failed[code].startswith(error)
        assert ((10 in checks), (6 in checks)) == (code not in (3, 9), code not in (3, 5, 9))

    def test_messages_of_one_sender_follow_each_other_and_the_pending_ones(self, rpc: Client) -> None:
        rpc("evm_setAutomine", False)
        pushed(rpc)
        first, second, third = self.check(rpc, *(self.priced(rpc, Nonce=nonce) for nonce in (1, 2, 2)))
        assert first[10] is second[10] is True
        assert third[10] == "message nonce doesn't match next nonce (3)"
        assert self.check(rpc, self.priced(rpc, Nonce=7), valid_nonce=False)[0][10] is True
        (pending,) = lotus(rpc, "MpoolCheckPendingMessages", native(rpc))
        assert all(check["OK"] for check in pending)
        assert lotus(rpc, "MpoolCheckPendingMessages", native(rpc, 1)) is None
        replaced = lotus(rpc, "MpoolCheckReplaceMessages", [self.priced(rpc, Value=str(10**26))])
        assert [check["Code"] for checks in replaced for check in checks if not check["OK"]] == [12]


class TestSync:
    """A node whose chain has no other source. Shapes: lotus api/api_full.go and api/types.go."""

    def test_head_is_synchronised(self, rpc: Client) -> None:
        head = lotus(rpc, "ChainHead")
        (state,) = lotus(rpc, "SyncState")["ActiveSyncs"]
        assert (state["Stage"], state["Height"]) == (4, head["Height"])
        assert state["Base"] == state["Target"] == head
        status = lotus(rpc, "NodeStatus", True)
        assert status["SyncStatus"]["Epoch"] == head["Height"]
        assert status["ChainStatus"] == {"BlocksPerTipsetLast100": 0, "BlocksPerTipsetLastFinality": 0}

    @pytest.mark.slow
    def test_status_of_a_long_chain_has_its_blocks_per_tipset(self, rpc: Client) -> None:
        head = lotus(rpc, "ChainHead")
        rpc("hypervisor_mineAfterNullRounds", 900 - head["Height"])
        assert lotus(rpc, "NodeStatus", True)["ChainStatus"]["BlocksPerTipsetLast100"] == 1
        assert lotus(rpc, "NodeStatus", False)["ChainStatus"]["BlocksPerTipsetLast100"] == 0

    def test_submitted_block_is_refused_with_the_reason(self, rpc: Client) -> None:
        with refusal(-32004, "blocks here have no proofs"):
            lotus(rpc, "SyncSubmitBlock", {"Header": {}, "BlsMessages": [], "SecpkMessages": []})


class TestWallet:
    """Keys of the node."""

    def test_both_addresses_of_each_account(self, rpc: Client) -> None:
        addresses = lotus(rpc, "WalletList")
        assert len(addresses) == 20
        assert addresses[:2] == [native(rpc), delegated(rpc)]
        assert lotus(rpc, "WalletDefaultAddress") == native(rpc)
        assert lotus(rpc, "WalletHas", lotus(rpc, "StateLookupID", delegated(rpc), None)) is True
        assert lotus(rpc, "WalletHas", NOBODY) is False
        assert lotus(rpc, "WalletBalance", NOBODY) == "0"

    def test_non_signing_node_has_empty_wallet(self, network: Network) -> None:
        rpc = Client(Node(network, signs=False))
        assert lotus(rpc, "WalletList") == []
        assert lotus(rpc, "WalletHas", native(rpc)) is False
        for method, params in (("WalletSign", [native(rpc), ""]), ("MpoolPushMessage", [transfer(rpc), None])):
            with pytest.raises(Failed, match="key not found"):
                lotus(rpc, method, *params)

    def test_signatures_are_those_of_their_address(self, rpc: Client) -> None:
        content = b64encode(b"content").decode()
        for owner, kind in ((native(rpc), 1), (delegated(rpc), 3)):
            signature = lotus(rpc, "WalletSign", owner, content)
            assert signature["Type"] == kind
            assert lotus(rpc, "WalletVerify", owner, content, signature) is True
            assert lotus(rpc, "WalletVerify", native(rpc, 1), content, signature) is False
            assert lotus(rpc, "WalletVerify", owner, b64encode(b"other").decode(), signature) is False
        with pytest.raises(Failed, match="key not found"):
            lotus(rpc, "WalletSign", NOBODY, content)

    def test_an_ethereum_account_signs_keccak_of_the_bytes(self, rpc: Client) -> None:
        # lotus lib/sigs/delegated: the digest is Keccak-256.
        expected = Oracle.unsafe_sign_hash(_keccak(b"content"), ALICE_KEY)
        data = b64decode(lotus(rpc, "WalletSign", delegated(rpc), b64encode(b"content").decode())["Data"])
        assert (int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big")) == (expected.r, expected.s)
        assert data[64] == expected.v - 27


class TestMiners:
    """Storage miners, on the official actors."""

    def test_a_miner_as_its_actors_have_it(self, official: Network) -> None:
        rpc = Client(Node(official))
        assert lotus(rpc, "StateListMiners", None) == []
        miner = official.create_miner(sectors=0)
        address = "t" + str(miner.address)[1:]
        assert lotus(rpc, "StateListMiners", None) == [address]
        info = lotus(rpc, "StateMinerInfo", address, None)
        assert same_keys(info, MINER_INFO)
        owner = lotus(rpc, "StateLookupID", native(rpc), None)
        assert (info["Owner"], info["Beneficiary"], info["SectorSize"]) == (owner, owner, 2048)
        assert info["WorkerChangeEpoch"] == -1
        power = lotus(rpc, "StateMinerPower", address, None)
        assert power["MinerPower"] == {"RawBytePower": "0", "QualityAdjPower": "0"}
        deadline = lotus(rpc, "StateMinerProvingDeadline", address, None)
        assert deadline["Open"] <= deadline["CurrentEpoch"] < deadline["Close"] == deadline["Open"] + 60
        assert int(lotus(rpc, "StateMinerAvailableBalance", address, None)) > 0
        with pytest.raises(Failed, match="not a storage miner"):
            lotus(rpc, "StateMinerInfo", native(rpc), None)

    def test_money_of_deals_and_datacap(self, official: Network) -> None:
        rpc = Client(Node(official))
        assert lotus(rpc, "StateMarketBalance", native(rpc), None) == {"Escrow": "0", "Locked": "0"}
        assert lotus(rpc, "StateVerifiedClientStatus", native(rpc), None) is None
        official.grant_datacap(official.accounts[0].native, 4096)
        assert lotus(rpc, "StateVerifiedClientStatus", native(rpc), None) == "4096"
        assert lotus(rpc, "StateVerifiedRegistryRootKey", None) == "t080"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("StateGetActor", [5]), ("StateGetActor", ["f1x"]), ("ChainReadObj", ["bafy"]), ("ChainReadObj", [{"/": "x"}]),
        ("ChainGetTipSet", ["latest"]), ("ChainGetTipSetByHeight", ["1", None]), ("StateCall", [{"To": "f01"}]),
        ("StateCall", [{"To": "f01", "From": "f01", "Value": 5}]), ("WalletSign", ["f01", "!"]),
        ("MpoolPush", [{"Message": None}]), ("StateCall", [{"To": "f01", "From": "f01", "GasPremium": "-1"}]),
        ("WalletVerify", ["f01", "", {"Type": 9, "Data": ""}]), ("GasEstimateFeeCap", [{}, 1, None]),
    ],
)  # fmt: skip
def test_malformed_parameters_are_named(rpc: Client, method: str, params: list[Any]) -> None:
    with refusal(-32602):
        lotus(rpc, method, *params)


def test_a_message_has_the_cid_of_its_cbor() -> None:
    # The first message of ref-fvm's vectors of the kind: to f01, all else small, encoded by another CBOR library.
    message = Message(
        Address.id(1), Address.id(100), nonce=3, value=TokenAmount(256), method=MethodNumber(2), params=b"\x80",
        gas_limit=Gas(9), gas_fee_cap=TokenAmount(7), gas_premium=TokenAmount(1),
    )  # fmt: skip
    fields = [0, b"\x00\x01", b"\x00\x64", 3, b"\x00\x01\x00", 9, b"\x00\x07", b"\x00\x01", 2, b"\x80"]
    digest = hashlib.blake2b(dag_cbor.encode(fields), digest_size=32).digest()  # type: ignore[arg-type]  # plain fields
    expected = str(CID("base32", 1, "dag-cbor", ("blake2b-256", digest)))
    shown = message_json(message)
    assert shown["CID"] == {"/": expected}
    assert (shown["Params"], shown["Value"]) == ("gA==", "256")


def test_lotus_aliases_of_eth_methods_are_available(rpc: Client) -> None:
    assert rpc("Filecoin.EthBlockNumber") == rpc("eth_blockNumber")
    assert rpc("Filecoin.EthGetBalance", ALICE, "latest") == rpc("eth_getBalance", ALICE, "latest")
    assert rpc("Filecoin.NetVersion") == rpc("net_version")
    assert rpc("Filecoin.Web3ClientVersion") == rpc("web3_clientVersion")


def _keccak(data: bytes) -> bytes:
    from store.keccak import keccak

    return bytes(keccak(data))
