"""An example of each method in docs/json-rpc.md: its parameters, and the chain that receives the request.

Methods without parameters need none. `$NAMES` are placeholders for the chain's hashes, CIDs and addresses.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, Final

from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR
from localnet import Network
from localnet.contracts.contract import Artifact
from localnet.rpc.node import Node
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.socket_methods import SocketSession
from localnet.rpc.subscriptions import Subscription
from localnet.rpc.tokens import Tokens
from store.cid import show
from store.codec import decode, encode, link
from tests.localnet.conftest import ARTIFACTS, START
from tests.localnet.solstice import Life

DUAL_TOKEN: Final = Path(__file__).resolve().parent.parent.parent / "examples" / "dual-token" / "DualToken.json"
_ON_OLDER: Final = ("hypervisor_upgrade", "hypervisor_grantDatacap")
"""Methods called on a network of version 28: upgrades, and DataCap before it is frozen."""
_IN_FOLDER: Final = ("hypervisor_collectGarbage", "hypervisor_backup")
"""Methods called on a network in a folder."""
_AFTER_FINALITY: Final = (
    "Filecoin.MinerGetBaseInfo", "Filecoin.MinerCreateBlock", "Filecoin.StateSectorPartition",
    "Filecoin.StateSectorExpiration",
)  # fmt: skip
"""Methods called 900 epochs later, with a miner that has a sector since; `$HEAD` is the block of the head."""
_WITH_A_DEAL: Final = (
    "Filecoin.StateMarketStorageDeal", "Filecoin.StateMarketDeals", "Filecoin.StateMarketParticipants",
    "Filecoin.StateGetAllClaims", "Filecoin.StateGetAllAllocations", "Filecoin.StateGetAllocationIdForPendingDeal",
)  # fmt: skip
"""Methods called on a network of version 28 with a published deal, number 0."""
_LATER: Final = 915
"""The epoch at which they are called."""

_MODULE: Final = bytes.fromhex(
    "0061736d0100000001060160017f017f030201000503010001071302066d656d6f7279020006696e766f6b6500000a0601040041000b"
)
"""An actor that returns nothing for any method."""

_CALL: Final = {"from": "$ALICE", "to": "$CONTRACT", "data": "$CALLDATA"}
_PAYMENT: Final = {"from": "$ALICE", "to": "$BOB", "value": "0x1"}
_SECTOR: Final = {"SealProof": 5, "DealIDs": [], "Expiration": 1_555_200}
_MESSAGE: Final = {"To": "$F1_BOB", "From": "$F1_ALICE", "Value": "1"}

EXAMPLES: Final[dict[str, list[Any]]] = {
    "web3_sha3": ["0x68656c6c6f20776f726c64"],
    # the state
    "eth_getBalance": ["$RICH", "latest"],
    "eth_getTransactionCount": ["$ALICE", "latest"],
    "eth_getCode": ["$CONTRACT", "latest"],
    "eth_getStorageAt": ["$CONTRACT", "0x0", "latest"],
    "eth_getProof": ["$CONTRACT", ["0x0"], "latest"],
    "eth_getStorageValues": [{"$CONTRACT": ["0x0", "0x1"]}, "latest"],
    "eth_getAccount": ["$RICH", "latest"],
    "eth_getAccountInfo": ["$RICH", "latest"],
    "eth_call": [_CALL, "latest"],
    "eth_createAccessList": [_CALL, "latest"],
    "eth_estimateGas": [_CALL],
    "eth_simulateV1": [{"blockStateCalls": [{"calls": [_CALL]}]}, "latest"],
    # blocks
    "eth_getBlockByNumber": ["latest", False],
    "eth_getBlockByHash": ["$BLOCK", True],
    "eth_getBlockTransactionCountByNumber": ["0x2"],
    "eth_getBlockTransactionCountByHash": ["$BLOCK"],
    "eth_getBlockReceipts": ["$BLOCK"],
    "eth_getHeaderByHash": ["$BLOCK"],
    "eth_getHeaderByNumber": ["latest"],
    "eth_getUncleCountByBlockHash": ["$BLOCK"],
    "eth_getUncleCountByBlockNumber": ["latest"],
    "eth_getUncleByBlockHashAndIndex": ["$BLOCK", "0x0"],
    "eth_getUncleByBlockNumberAndIndex": ["latest", "0x0"],
    # transactions
    "anvil_getBlobByHash": ["0x01" + 31 * "4b"],
    "anvil_getBlobsByTransactionHash": ["$TRANSACTION"],
    "eth_sendRawTransaction": ["$SIGNED"],
    "eth_sendRawTransactionSync": ["$SIGNED"],
    "eth_sendTransaction": [_PAYMENT],
    "eth_sendTransactionSync": [_PAYMENT],
    "eth_sendUnsignedTransaction": [{"from": "$BOB", "to": "$ALICE", "value": "0x1"}],
    "eth_signTransaction": [_PAYMENT],
    "eth_fillTransaction": [_PAYMENT],
    "eth_sign": ["$ALICE", "0x68656c6c6f"],
    "eth_signTypedData_v4": ["$ALICE", "$TYPED_DATA"],
    "personal_sign": ["0x68656c6c6f", "$ALICE"],
    "eth_getTransactionByHash": ["$TRANSACTION"],
    "eth_getTransactionReceipt": ["$TRANSACTION"],
    "eth_getTransactionByBlockHashAndIndex": ["$BLOCK", "0x0"],
    "eth_getTransactionByBlockNumberAndIndex": ["0x2", "0x0"],
    "eth_getTransactionBySenderAndNonce": ["$ALICE", "0x1"],
    "eth_getRawTransactionByHash": ["$TRANSACTION"],
    "eth_getRawTransactionByBlockHashAndIndex": ["$BLOCK", "0x0"],
    "eth_getRawTransactionByBlockNumberAndIndex": ["0x2", "0x0"],
    "debug_getRawTransactions": ["latest"],
    "txpool_contentFrom": ["$ALICE"],
    "eth_feeHistory": ["0x2", "latest", [10, 50]],
    # logs
    "eth_getLogs": [{"address": "$CONTRACT", "fromBlock": "0x0"}],
    "eth_newFilter": [{"address": "$CONTRACT"}],
    "eth_getFilterChanges": ["$FILTER"],
    "eth_getFilterLogs": ["$FILTER"],
    "eth_uninstallFilter": ["$FILTER"],
    "eth_subscribe": ["logs", {"address": "$CONTRACT"}],
    "eth_unsubscribe": ["$NO_HASH"],
    "xrpc.cancel": [1],
    # traces
    "debug_traceTransaction": ["$TRANSACTION", {"tracer": "callTracer"}],
    "debug_traceCall": [_CALL, "latest", {"tracer": "prestateTracer"}],
    "debug_traceBlockByNumber": ["0x2", {"tracer": "flatCallTracer"}],
    "debug_traceBlockByHash": ["$BLOCK", {"tracer": "callTracer"}],
    "debug_storageRangeAt": ["$BLOCK", 0, "$CONTRACT", "0x", 5],
    "trace_transaction": ["$TRANSACTION"],
    "trace_block": ["0x2"],
    "trace_call": [_CALL, ["trace", "stateDiff"], "latest"],
    "trace_replayBlockTransactions": ["0x2", ["trace", "stateDiff"]],
    "trace_filter": [{"fromBlock": "0x1", "toBlock": "latest", "toAddress": ["$CONTRACT"]}],
    "trace_replayTransaction": ["$TRANSACTION", ["stateDiff"]],
    "trace_get": ["$TRANSACTION", []],
    # Otterscan's
    "ots_hasCode": ["$CONTRACT", "latest"],
    "ots_getBlockDetails": [2],
    "ots_getBlockDetailsByHash": ["$BLOCK"],
    "ots_getBlockTransactions": [2, 0, 25],
    "ots_getInternalOperations": ["$TRANSACTION"],
    "ots_traceTransaction": ["$TRANSACTION"],
    "ots_getTransactionError": ["$TRANSACTION"],
    "ots_searchTransactionsBefore": ["$CONTRACT", 0, 25],
    "ots_searchTransactionsAfter": ["$CONTRACT", 0, 25],
    "ots_getTransactionBySenderAndNonce": ["$ALICE", 1],
    "ots_getContractCreator": ["$CONTRACT"],
    "hypervisor_trace": ["$TRANSACTION"],
    "hypervisor_profile": ["$TRANSACTION"],
    "hypervisor_traceCall": [_CALL, "latest"],
    "hypervisor_traceEpoch": [1],
    "hypervisor_tracePlaces": ["$TRANSACTION"],
    "hypervisor_addAbi": [[{"type": "function", "name": "greet", "inputs": [], "outputs": []}], "$CONTRACT", "Inbox"],
    # the network by hand
    "evm_revert": ["0x1"],
    "evm_mine": [],
    "evm_mine_detailed": [],
    "anvil_mine": ["0x2"],
    "evm_increaseTime": [60],
    "evm_setNextBlockTimestamp": [1_800_000_000],
    "evm_setTime": [1_800_000_000],
    "evm_setAutomine": [True],
    "anvil_setBlockTimestampInterval": [30],
    "anvil_setNextBlockBaseFeePerGas": ["0x64"],
    "anvil_rollback": [1],
    "anvil_reorg": [2, [[_PAYMENT, 0]]],
    "anvil_setLoggingEnabled": [False],
    "anvil_dealERC20": ["$BOB", "$TOKEN", "0x5"],
    "anvil_setERC20Allowance": ["$BOB", "$ALICE", "$TOKEN", "0x5"],
    "anvil_reset": [],
    "anvil_dropTransaction": ["$NO_HASH"],
    "hardhat_dropTransaction": ["$NO_HASH"],
    "anvil_removePoolTransactions": ["$ALICE"],
    "hypervisor_mineAfterNullRounds": [2],
    "hypervisor_upgrade": [
        "nv29",
        None,
        {"swa": "$ALICE", "sra": "$ALICE", "orchestrator": "$BOB", "ramp": 90, "timelock": 5},
    ],
    "hypervisor_installActor": ["$MODULE", "type GreetReturn string", "greeter"],
    "hypervisor_createActor": ["$USERS_CODE", "0x", "0x0"],
    "hypervisor_setActorCode": ["$USERS_ACTOR", "$USERS_CODE"],
    "hypervisor_actorInterface": ["$USERS_ACTOR"],
    "hypervisor_authorizationNonce": ["$ALICE"],
    "hypervisor_createMiner": ["$BOB", 2],
    "hypervisor_grantDatacap": ["$F1_ALICE", 1048576],
    "hypervisor_setProducer": ["$MINER"],
    "hypervisor_collectGarbage": [100],
    "hypervisor_backup": [],
    "hypervisor_beginState": [0],
    "hypervisor_callPrecompile": [
        "0xfe00000000000000000000000000000000000001",
        "0x0064",
        {"from": "$CONTRACT", "state": "$BEGUN", "balance": "0x0", "block": {"number": 1, "time": 1_800_000_000}},
    ],
    "evm_setIntervalMining": [0],
    "anvil_loadState": ["$STATE"],
    "anvil_setBalance": ["$BOB", "0x56bc75e2d63100000"],
    "anvil_addBalance": ["$BOB", "0x1"],
    "anvil_setNonce": ["$BOB", "0x5"],
    "anvil_setCode": ["$BOB", "0x5b600056"],
    "anvil_setStorageAt": ["$CONTRACT", "0x0", "$WORD"],
    "anvil_impersonateAccount": ["$NOBODY"],
    "anvil_stopImpersonatingAccount": ["$NOBODY"],
    "anvil_autoImpersonateAccount": [True],
    # Filecoin
    "Filecoin.EthAddressToFilecoinAddress": ["$ALICE"],
    "Filecoin.FilecoinAddressToEthAddress": ["$F4_ALICE", "finalized"],
    "Filecoin.EthGetMessageCidByTransactionHash": ["$TRANSACTION"],
    "Filecoin.EthGetTransactionHashByCid": ["$MESSAGE"],
    "Filecoin.EthGetTransactionByHashLimited": ["$TRANSACTION", 100],
    "Filecoin.EthGetTransactionReceiptLimited": ["$TRANSACTION", 100],
    "Filecoin.EthGetBlockReceiptsLimited": ["0x2", 100],
    "Filecoin.ChainGetTipSet": [["$TIPSET"]],
    "Filecoin.ChainGetTipSetByHeight": [2, None],
    "Filecoin.ChainGetTipSetAfterHeight": [2, None],
    "Filecoin.ChainGetPath": [["$TIPSET"], None],
    "Filecoin.StateSearchMsgLimited": ["$MESSAGE", -1],
    "Filecoin.StateGetReceipt": ["$MESSAGE", None],
    "Filecoin.ChainTipSetWeight": [None],
    "Filecoin.ChainGetBlock": ["$TIPSET"],
    "Filecoin.ChainGetBlockMessages": ["$TIPSET"],
    "Filecoin.ChainGetParentMessages": ["$TIPSET"],
    "Filecoin.ChainGetParentReceipts": ["$TIPSET"],
    "Filecoin.ChainGetMessagesInTipset": [["$TIPSET"]],
    "Filecoin.ChainGetMessage": ["$MESSAGE"],
    "Filecoin.ChainGetEvents": ["$EVENTS"],
    "Filecoin.GetActorEventsRaw": [{"fromHeight": 1, "toHeight": 2}],
    "Filecoin.ChainReadObj": ["$TIPSET"],
    "Filecoin.ChainHasObj": ["$TIPSET"],
    "Filecoin.ChainStatObj": ["$TIPSET"],
    "Filecoin.StateGetActor": ["$F4_ALICE", None],
    "Filecoin.StateReadState": ["f01", None],
    "Filecoin.StateAccountKey": ["f0100", None],
    "Filecoin.StateLookupID": ["$F1_ALICE", None],
    "Filecoin.StateLookupRobustAddress": ["f0100", None],
    "Filecoin.StateActorCodeCIDs": [29],
    "Filecoin.StateGetBeaconEntry": [2],
    "Filecoin.StateGetRandomnessDigestFromBeacon": [2, None],
    "Filecoin.StateGetRandomnessDigestFromTickets": [2, None],
    "Filecoin.StateGetRandomnessFromBeacon": [1, 2, "Ynl0ZXM=", None],
    "Filecoin.StateGetRandomnessFromTickets": [1, 2, "Ynl0ZXM=", None],
    "Filecoin.StateCall": [_MESSAGE, None],
    "Filecoin.StateReplay": [None, "$MESSAGE"],
    "Filecoin.StateCompute": [2, None, ["$TIPSET"]],
    "Filecoin.StateSearchMsg": [None, "$MESSAGE", -1, True],
    "Filecoin.StateWaitMsg": ["$MESSAGE", 2, 100, False],
    "Filecoin.StateListMessages": [{"From": "$F4_ALICE"}, None, 0],
    "Filecoin.GasEstimateGasLimit": [_MESSAGE, None],
    "Filecoin.GasEstimateGasPremium": [10, "$F1_ALICE", 0, None],
    "Filecoin.GasEstimateFeeCap": [_MESSAGE, 20, None],
    "Filecoin.GasEstimateMessageGas": [_MESSAGE, {"MaxFee": "0"}, None],
    "Filecoin.MpoolPush": ["$SIGNED_MESSAGE"],
    "Filecoin.MpoolBatchPush": [["$SIGNED_MESSAGE"]],
    "Filecoin.MpoolPushMessage": [_MESSAGE, None],
    "Filecoin.MpoolBatchPushMessage": [[_MESSAGE], None],
    "Filecoin.MsigGetPending": ["$MULTISIG", None],
    "Filecoin.MsigGetAvailableBalance": ["$MULTISIG", None],
    "Filecoin.MpoolCheckMessages": [[{"Message": _MESSAGE, "ValidNonce": True}]],
    "Filecoin.MpoolCheckPendingMessages": ["$F1_ALICE"],
    "Filecoin.MpoolCheckReplaceMessages": [[_MESSAGE]],
    "Filecoin.NodeStatus": [True],
    "Filecoin.AuthVerify": ["eyJhbGciOiJIUzI1NiJ9"],
    "Filecoin.AuthNew": [["read"]],
    "Filecoin.MsigGetVested": ["$MULTISIG", None, None],
    "Filecoin.MsigGetVestingSchedule": ["$MULTISIG", None],
    "Filecoin.StateDecodeParams": ["$MULTISIG", 3, "ggBA", None],
    "Filecoin.StateEncodeParams": ["$POWER_CODE", 2, "$NEW_MINER"],
    "Filecoin.StateActorManifestCID": [29],
    "Filecoin.MpoolGetNonce": ["$F1_ALICE"],
    "Filecoin.MpoolSelect": [None, 0.8],
    "Filecoin.WalletHas": ["$F1_ALICE"],
    "Filecoin.WalletBalance": ["$F1_BOB"],
    "Filecoin.WalletSign": ["$F1_ALICE", "Ynl0ZXM="],
    "Filecoin.WalletSignMessage": ["$F1_ALICE", _MESSAGE],
    "Filecoin.WalletVerify": ["$F1_ALICE", "Ynl0ZXM=", "$SIGNATURE"],
    "Filecoin.WalletValidateAddress": ["f01"],
    "Filecoin.StateMinerInfo": ["$MINER", None],
    "Filecoin.StateMinerPower": ["$MINER", None],
    "Filecoin.MinerGetBaseInfo": ["$MINER", _LATER + 1, ["$HEAD"]],
    "Filecoin.MinerCreateBlock": [
        {
            "Miner": "$MINER",
            "Parents": ["$HEAD"],
            "Ticket": {"VRFProof": "dGlja2V0"},
            "Eproof": {"WinCount": 1, "VRFProof": "dnJm"},
            "BeaconValues": [],
            "Messages": [],
            "Epoch": _LATER + 1,
            "Timestamp": 1700000000,
            "WinningPoStProof": [],
        },
    ],
    "Filecoin.StateMinerPreCommitDepositForPower": ["$MINER", _SECTOR, None],
    "Filecoin.StateMinerInitialPledgeCollateral": ["$MINER", _SECTOR, None],
    "Filecoin.StateDealProviderCollateralBounds": [2048, True, None],
    "Filecoin.StateMinerInitialPledgeForSector": [1_555_200, 2048, 2048, None],
    **{
        f"Filecoin.StateMiner{name}": ["$MINER", None]
        for name in ("ActiveSectors", "SectorCount", "Faults", "Recoveries", "Deadlines", "Allocated")
    },
    "Filecoin.StateMinerSectors": ["$MINER", None, None],
    "Filecoin.StateMinerPartitions": ["$MINER", 0, None],
    "Filecoin.StateMinerSectorAllocated": ["$MINER", 0, None],
    "Filecoin.StateSectorPreCommitInfo": ["$MINER", 0, None],
    "Filecoin.StateSectorGetInfo": ["$MINER", 0, None],
    "Filecoin.StateSectorPartition": ["$MINER", 0, None],
    "Filecoin.StateSectorExpiration": ["$MINER", 0, None],
    "Filecoin.StateMinerAvailableBalance": ["$MINER", None],
    "Filecoin.StateMinerProvingDeadline": ["$MINER", None],
    "Filecoin.StateMarketBalance": ["$F1_ALICE", None],
    "Filecoin.StateMarketStorageDeal": [0, None],
    "Filecoin.StateMarketProposalPending": ["$TIPSET", None],
    "Filecoin.StateGetAllocationIdForPendingDeal": [0, None],
    "Filecoin.StateGetAllocationForPendingDeal": [77, None],
    "Filecoin.StateGetClaim": ["$MINER", 1, None],
    "Filecoin.StateGetClaims": ["$MINER", None],
    "Filecoin.StateGetAllocation": ["$F1_ALICE", 1, None],
    "Filecoin.StateGetAllocations": ["$F1_ALICE", None],
    "Filecoin.StateVerifierStatus": ["$F1_ALICE", None],
    "Filecoin.StateVerifiedClientStatus": ["$F1_ALICE", None],
}


_FORGETTING: Final = ("evm_revert", "anvil_reorg", "anvil_rollback", "anvil_loadState", "anvil_reset", "hardhat_reset")
"""Methods that invalidate the placeholders, in the order in which they can be called."""


class Examples:
    """Requests of the examples; changes by one of them are reverted."""

    def __init__(self, network: Network, names: dict[str, Any] | None = None) -> None:
        """Use a network; `names` are the values of the placeholders, None those of new contracts and messages."""
        self.network = network
        self._node = Node(network)
        self._dispatcher = Dispatcher(self._node, _at_once)
        self.names = self._found() if names is None else names

    def answers(self, methods: Iterable[str]) -> dict[str, Any]:
        """Return the results of the methods' examples by method; those that replace the chain come last."""
        asked = sorted(methods, key=lambda name: _FORGETTING.index(name) + 1 if name in _FORGETTING else 0)
        return {method: self._answer(method) for method in asked}

    def _answer(self, method: str) -> Any:
        """Return the result of a method's example. Raises AssertionError for an error response."""
        if method in _AFTER_FINALITY:
            return self._later(method)
        params = self._filled(EXAMPLES.get(method, []))
        if method in _WITH_A_DEAL:
            with Network(network=28, clock=lambda: START) as older:
                Life(older)
                return Examples(older, names={})._ask(method, params)
        if method in _ON_OLDER:
            with Network(network=28, clock=lambda: START) as older:
                return Examples(older)._ask(method, params)
        if method in _IN_FOLDER:
            with TemporaryDirectory() as folder, Network(folder, clock=lambda: START) as kept:
                return Examples(kept)._ask(method, params)
        if method == "Filecoin.AuthNew":
            with NamedTemporaryFile() as file:
                self._node.tokens = Tokens(Path(file.name))
                try:
                    return self._ask(method, params)
                finally:
                    self._node.tokens = None
        snapshot, automine = self.network.snapshot(), self.network.automine
        try:
            return self._ask(method, params)
        finally:
            self.network.automine = automine
            self._node.impersonates_all = False
            self.network.revert(snapshot)

    def _later(self, method: str) -> Any:
        """Return the result of a method's example on a network with a miner of the lookback."""
        with Network(clock=lambda: START) as network:
            miner = network.create_miner(sectors=1)
            network.mine(null_rounds=_LATER - 1 - network.block_number)
            asked = Examples(network, names={})
            asked.names = {"$MINER": str(miner.address), "$HEAD": asked._ask("Filecoin.ChainHead", [])["Cids"][0]}
            return asked._ask(method, asked._filled(EXAMPLES[method]))

    def _ask(self, method: str, params: list[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        session = SocketSession(self._node, _Connection())
        response = json.loads(asyncio.run(self._dispatcher.dispatch(body, session)))
        self._node.subscriptions.forget(session.connection)
        verb = "correct" if method in EXAMPLES else "write"
        assert "result" in response, (
            f"the example of {method}, with the parameters {params}, answers {response.get('error')}: "
            f"{verb} its parameters in EXAMPLES of tests/docs/json_rpc_examples.py"
        )
        return response["result"]

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                return self.names.get(value, value)
            case list():
                return [self._filled(item) for item in value]
            case dict():
                return {self._filled(name): self._filled(item) for name, item in value.items()}
            case _:
                return value

    def _found(self) -> dict[str, Any]:
        network, inbox = self.network, Artifact.load(ARTIFACTS / "Inbox.json")
        alice, bob, rich = network.accounts[0], network.accounts[1], network.accounts[9]
        contract = network.deploy(inbox)
        receipt = network.send(contract.address, data=inbox.interface.encode_call("greet", "hi"))
        miner = network.create_miner(bob, sectors=0)
        signers = encode([[alice.native.to_bytes()], 1, 0, 0])
        code = link(network.machine.manifest.code("multisig"))
        users = network.actors.keep(_MODULE, name="greeter")
        token = network.deploy(DUAL_TOKEN, 1_000)
        multisig = network.send_native(Address.id(INIT_ACTOR), 2, encode([code, signers]), sender=bob)
        names = {
            "$ALICE": "0x" + alice.address.hex(),
            "$BOB": "0x" + bob.address.hex(),
            "$RICH": "0x" + rich.address.hex(),
            "$NOBODY": "0x" + "99" * 20,
            "$NO_HASH": "0x" + "99" * 32,
            "$TYPED_DATA": {"types": {"Vote": []}, "primaryType": "Vote", "domain": {}, "message": {}},
            "$WORD": "0x" + "05".rjust(64, "0"),
            "$CONTRACT": "0x" + contract.address.hex(),
            "$TOKEN": "0x" + token.address.hex(),
            "$CALLDATA": "0x" + inbox.interface.encode_call("greet", "hi").hex(),
            "$TRANSACTION": "0x" + receipt.hash.hex(),
            "$BLOCK": "0x" + receipt.tipset.hash.hex(),
            "$F1_ALICE": str(alice.native),
            "$F1_BOB": str(network.accounts[2].native),
            "$F4_ALICE": str(alice.delegated),
            "$MINER": str(Address.id(miner.id)),
            "$MODULE": f"0x{_MODULE.hex()}",
            "$USERS_CODE": {"/": show(users)},
            "$USERS_ACTOR": str(network.actors.create(users, cbor=b"").address),
            "$POWER_CODE": self._ask("Filecoin.StateGetActor", ["f04", None])["Code"],
            "$NEW_MINER": {
                "Owner": "t0100",
                "Worker": "t0101",
                "WindowPostProofType": 5,
                "Peer": None,
                "Multiaddrs": None,
            },
            "$MULTISIG": str(Address.from_bytes(decode(multisig.return_data)[0])),
        }
        self.names = names
        message = self._filled(dict(_MESSAGE))
        lookup = self._ask("Filecoin.EthGetMessageCidByTransactionHash", [names["$TRANSACTION"]])
        filled = self._ask("Filecoin.GasEstimateMessageGas", [message, None, None])
        names |= {
            "$SIGNED": self._ask("eth_signTransaction", [self._filled(dict(_PAYMENT))]),
            "$FILTER": self._ask("eth_newFilter", [{"fromBlock": "0x0", "address": names["$CONTRACT"]}]),
            "$STATE": self._ask("anvil_dumpState", []),
            "$BEGUN": self._ask("hypervisor_beginState", [1]),
            "$MESSAGE": lookup,
            "$EVENTS": self._ask("Filecoin.StateSearchMsg", [lookup])["Receipt"]["EventsRoot"],
            "$TIPSET": self._ask("Filecoin.ChainGetTipSetByHeight", [2, None])["Cids"][0],
            "$SIGNED_MESSAGE": self._ask("Filecoin.WalletSignMessage", [names["$F1_ALICE"], filled]),
            "$SIGNATURE": self._ask("Filecoin.WalletSign", [names["$F1_ALICE"], "Ynl0ZXM="]),
        }
        return names


class _Connection:
    """A WebSocket connection that discards its messages."""

    closed = False

    def __init__(self) -> None:
        self._numbers = count(1)

    def next_channel(self) -> int:
        return next(self._numbers)

    def notify(self, subscription: Subscription, text: bytes) -> None:
        pass

    def give_up(self, reason: str) -> None:
        raise AssertionError(reason)


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()


@contextmanager
def examples() -> Iterator[Examples]:
    """Create a network with the state that the examples need."""
    with Network(clock=lambda: START) as network:
        yield Examples(network)
