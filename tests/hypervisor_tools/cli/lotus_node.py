"""A simulated Lotus node over a chain made by a network of this project.

Response shapes follow the Lotus documentation (documentation/en/api-v1-unstable-methods.md, api/api_full.go). Unlike
our node, a message look-up names the tipset after that of the message, and a missing block is a blockstore error.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from hypervisor.types import ChainEpoch
from localnet import Network
from localnet.chain.externs import ChainExterns
from localnet.ledger.records import NullRound, Tipset
from store.blockstore import BlockNotFound
from store.cid import Cid, parse_cid, show
from tests.web_server import replying


class LotusNode:
    """Methods used by extraction and forks; counts the requests for each block."""

    def __init__(self, network: Network) -> None:
        self._chain = network.chain
        self._network = network
        self.blocks: Counter[Cid] = Counter()
        self.damaged: dict[Cid, bytes] = {}
        """Blocks that it answers with other bytes."""
        self.methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(network.chain_id),
            "Filecoin.StateNetworkName": lambda: network.chain.record.name,
            "Filecoin.ChainHead": lambda: self._json(self._head),
            "Filecoin.ChainGetGenesis": lambda: self._json(self._chain.index.tipset(0)),
            "Filecoin.ChainGetTipSetByHeight": self._by_height,
            "Filecoin.ChainGetTipSetAfterHeight": self._after_height,
            "Filecoin.ChainReadObj": self._read,
            "Filecoin.EthGetMessageCidByTransactionHash": self._message_of,
            "Filecoin.StateSearchMsg": self._search,
            "Filecoin.StateNetworkVersion": lambda _key: network.version,
            "Filecoin.StateVMCirculatingSupplyInternal": lambda _key: {"FilVested": str(network.chain.record.vested)},
            "Filecoin.StateGetRandomnessDigestFromTickets": self._tickets,
            "Filecoin.StateGetRandomnessDigestFromBeacon": self._beacon,
            "Filecoin.StateCompute": self._compute,
            "eth_feeHistory": self._fee_history,
        }

    @property
    def _head(self) -> Tipset:
        return self._chain.head

    @staticmethod
    def _json(tipset: Tipset) -> dict[str, Any]:
        block: dict[str, Any] = {
            "Height": tipset.height,
            "Timestamp": tipset.timestamp,
            "ParentBaseFee": str(tipset.base_fee),
        }
        block["ParentStateRoot"] = {"/": show(tipset.before)}
        return {"Cids": [{"/": show(tipset.block)}], "Blocks": [block], "Height": tipset.height}

    def _by_height(self, height: int, _key: Any) -> Any:
        found = self._chain.index.tipset_before(height)
        assert found is not None
        return self._json(found)

    def _after_height(self, height: int, _key: Any) -> Any:
        found = self._chain.index.at(height)
        if isinstance(found, NullRound):
            found = self._chain.index.tipset(ChainEpoch(found.after))
        assert found is not None
        return self._json(found)

    def _read(self, link: dict[str, str]) -> str:
        cid = parse_cid(link["/"])
        self.blocks[cid] += 1
        try:
            return b64encode(self.damaged.get(cid) or self._network.machine.base.get(cid)).decode()
        except BlockNotFound:
            raise LookupError(f"blockstore get: ipld: could not find {show(cid)}") from None

    def _message_of(self, transaction_hash: str) -> Any:
        receipt = self._chain.index.receipt(bytes.fromhex(transaction_hash[2:]))
        return None if receipt is None else {"/": show(receipt.candidate.message.cid())}

    def _search(self, _from: Any, message: dict[str, str], _limit: int, _replaced: bool) -> Any:
        for height in range(1, self._head.height):
            tipset = self._chain.index.at(height)
            if not isinstance(tipset, Tipset):
                continue
            for receipt in self._chain.index.receipts(tipset):
                if show(receipt.candidate.message.cid()) == message["/"]:
                    after = self._after_height(height + 1, None)
                    shown = {"ExitCode": 0, "Return": None, "GasUsed": receipt.gas_used, "EventsRoot": None}
                    look_up = {"Message": message, "Receipt": shown, "ReturnDec": None, "TipSet": after["Cids"]}
                    return look_up | {"Height": after["Height"]}
        return None

    def _compute(self, height: int, _messages: Any, _key: Any) -> Any:
        return {"Root": {"/": show(self._chain.index.tipset(height).state)}, "Trace": []}

    def _fee_history(self, _count: str, newest: str, _percentiles: Any) -> Any:
        tipset = self._chain.index.tipset(int(newest, 16))
        fees = [hex(tipset.base_fee), hex(tipset.next_base_fee)]
        return {"oldestBlock": newest, "baseFeePerGas": fees, "gasUsedRatio": [0.5], "reward": None}

    def _externs(self) -> ChainExterns:
        externs = ChainExterns()
        externs.attach(self._chain.index)
        externs.executing = self._head.height
        return externs

    def _tickets(self, epoch: ChainEpoch, _key: Any) -> str:
        return b64encode(self._externs().chain_randomness(epoch)).decode()

    def _beacon(self, epoch: ChainEpoch, _key: Any) -> str:
        return b64encode(self._externs().beacon_randomness(epoch)).decode()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method = self.methods.get(request["method"])
        if method is None:
            error: dict[str, Any] = {"code": -32601, "message": f"method '{request['method']}' not found"}
        else:
            try:
                return {"jsonrpc": "2.0", "id": request["id"], "result": method(*request["params"])}
            except LookupError as words:
                error = {"code": 1, "message": str(words.args[0])}
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}


def served(node: LotusNode) -> AbstractContextManager[str]:
    return replying(node.answer)
