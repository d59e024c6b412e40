"""State files: the state of a network in one file, of this project or of anvil.

A file of this project is a gzipped CAR whose root names the state, its epoch and its time. The code of the built-in
actors is omitted: the network that loads the file must have the same bundle.

A file of anvil has accounts, blocks and transactions as JSON, in place of a chain under Ethereum's rules. The blocks
keep their numbers, hashes, transactions and receipts. A file that this project wrote names the hashes; in a file of
anvil they follow from the headers. A file holds one state, that after the newest block, so older states cannot be read.
Format: crates/anvil/src/eth/backend/db.rs, `SerializableState`.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.ethereum.block import ETHEREUM, next_base_fee
from bridge.ethereum.transactions import SignedTransaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CreateReturn
from bridge.filecoin.receipts import Log, bloom, log_to_entries
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Receipt
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from localnet.chain.clock import LATEST_TIME
from localnet.fork.ethereum_fork import EthereumFork
from localnet.fork.node_client import NodeError
from localnet.fork.remote_chain import MAX_CODE_BYTES
from localnet.fork.remote_history import ReadTransaction, read_transaction
from localnet.fork.response_values import bytes_of, quantity, unsigned, word_of
from localnet.ledger.blocks import NO_PRODUCER, BlockHeader, key_of_hash, put_messages, put_receipts
from localnet.ledger.candidates import IMPERSONATED, Candidate
from localnet.ledger.records import GENESIS_PARENT, BlockSettings, EmittedEvent, Execution, Tipset
from localnet.state.controls import code_of, set_balance, set_code, set_nonce, set_storage
from store.blocks.memory import BufferedStore, OverlayStore
from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, get_object, put_object
from store.car.files import CarError, read_car
from store.car.transfer import write_blocks
from store.cid import Cid, cid_of, show
from store.codec import CodecError, link, unlink
from store.keccak import keccak
from store.links import blocks_below
from store.untrusted import MAX_UNPACKED_BYTES, CompressionError, gunzip, parse_json

if TYPE_CHECKING:
    from localnet.chain.chain import Chain
    from localnet.ledger.records import Tipset
    from localnet.rules.parts import NetworkRules

_MAX_DATA_BYTES: Final = 1 << 24
"""Maximum number of bytes of calldata, output or log data."""
_NO_STATE: Final = cid_of(b"\x60")
"""State root of the blocks before the newest one, which no store has."""
_HEADER: Final = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot",
    "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""Header fields in the order of the hashed encoding; the last ones were added by forks."""
_NUMBERS: Final = frozenset(
    ("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas")
)
_BLOB_GAS: Final = ("excessBlobGas", "blobGasUsed")

Json = Mapping[str, Any]


def header_hash(header: Json) -> bytes:
    """Return the hash of a block's header, given as JSON."""
    fields: list[rlp.Item] = []
    for name in _HEADER:
        value = header.get(name)
        if value is None:
            break
        fields.append(rlp.number(quantity(value)) if name in _NUMBERS else bytes_of(value, _MAX_DATA_BYTES))
    return bytes(keccak(rlp.encode(fields)))


def load_anvil_state(chain: Chain, state: Json) -> Tipset:
    """Replace a chain by that of a state file, and return its head. Accounts that are not in the file are unchanged.

    Raises InvalidInput for a file of another shape, with the chain as it was.
    """
    if chain.rules.name != ETHEREUM:
        raise InvalidInput(
            f"this is a state of anvil, and the network is under the rules '{chain.rules.name}': load it on a network "
            "under Ethereum's rules (--rules ethereum)"
        )
    if isinstance(chain.origin, EthereumFork):
        raise InvalidInput("a state file of anvil cannot be loaded on a fork: omit the fork or the state")
    machine = chain.machine

    def begin(blocks: Blockstore) -> list[tuple[Tipset, list[Execution]]]:
        _put_accounts(machine, state["accounts"], chain.rules.limits.balance)
        return _Blocks(state, machine, blocks, chain.rules).tipsets()

    try:
        return chain.restart(None, begin)
    except InvalidInput:
        raise
    except (HypervisorError, NodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else f"{error}"
        raise InvalidInput(f"this is not a state file of anvil 1.0 or newer: {reason}") from None


def _put_accounts(machine: Hypervisor, accounts: Json, limit: TokenAmount) -> None:
    for text, account in accounts.items():
        address, code = EthAddress(word_of(text, 20)), bytes_of(account["code"], MAX_CODE_BYTES)
        owner = to_filecoin(address)
        set_balance(machine, address, TokenAmount(quantity(account["balance"])), limit)
        if code or code_of(machine, owner):
            set_code(machine, address, code)
        set_nonce(machine, address, _number(account["nonce"]))
        slots = {quantity(slot): quantity(value) for slot, value in (account.get("storage") or {}).items()}
        if slots:
            set_storage(machine, address, slots, bare=True)


@dataclass(frozen=True, slots=True)
class _ExecutedTransaction:
    """An executed transaction of the file and its receipt."""

    read: ReadTransaction
    is_impersonated: bool
    info: Json
    receipt: Json


class _Blocks:
    """Converts the blocks of a file to tipsets."""

    def __init__(self, state: Json, machine: Hypervisor, store: Blockstore, rules: NetworkRules) -> None:
        self._state, self._machine, self._store, self._rules = state, machine, store, rules
        self._mined = {
            (_number(each["block_number"]), _number(each["info"]["transaction_index"])): each
            for each in state.get("transactions") or ()
        }

    def tipsets(self) -> list[tuple[Tipset, list[Execution]]]:
        """Return the tipsets up to the newest one, oldest first, without a gap."""
        env = self._state["block"]
        best = self._state.get("best_block_number")
        last = _number(env["number"] if best is None else best)
        by_number = {_number(block["header"]["number"]): block for block in self._state.get("blocks") or ()}
        first = last
        while first - 1 in by_number:
            first -= 1
        found = by_number.get(last)
        if found is None:
            return [(self._tipset(_header_of(env, last), last, last, []), [])]
        return [self._read_executions(by_number[number], first, last) for number in range(first, last + 1)]

    def _read_executions(self, block: Json, first: int, last: int) -> tuple[Tipset, list[Execution]]:
        header = block["header"]
        number = _number(header["number"])
        executions = [
            self._execution(self._read_executed(each, number, index), header)
            for index, each in enumerate(block["transactions"])
        ]
        return self._tipset(header, first, last, executions), executions

    def _tipset(self, header: Json, first: int, last: int, executions: list[Execution]) -> Tipset:
        number, gas_used = unsigned(quantity(header["number"])), Gas(unsigned(quantity(header["gasUsed"])))
        base_fee, timestamp = quantity(header.get("baseFeePerGas") or "0x0"), unsigned(quantity(header["timestamp"]))
        limit = Gas(unsigned(quantity(header["gasLimit"])))
        chain_id = self._machine.context.chain_id
        excess, blob_gas_used = (unsigned(quantity(header.get(name) or "0x0")) for name in _BLOB_GAS)
        settings = BlockSettings(
            chain_id, EthAddress(word_of(header["miner"], 20)), limit, randomness=word_of(header["mixHash"]),
            excess_blob_gas=excess,
        )  # fmt: skip
        state = self._machine.root if number == last else _NO_STATE
        receipts = put_receipts(self._store, [execution.receipt for execution in executions])
        messages = put_messages(self._store, [execution.candidate.message for execution in executions])
        block = BlockHeader(
            NO_PRODUCER, ChainEpoch(number), (), state, receipts, messages, timestamp, TokenAmount(base_fee),
            settings.encode_for_header(chain_id),
        )  # fmt: skip
        return Tipset(
            height=ChainEpoch(number),
            key=key_of_hash(word_of(header["hash"]) if "hash" in header else header_hash(header)),
            block=block.put(self._store),
            parent=GENESIS_PARENT if number == first else number - 1,
            timestamp=timestamp,
            base_fee=TokenAmount(base_fee),
            next_base_fee=TokenAmount(next_base_fee(base_fee, min(gas_used, limit), limit)),
            before=state,
            state=state,
            receipts=receipts,
            gas_used=gas_used,
            bloom=bloom(log for execution in executions for log in execution.logs()),
            transactions=tuple(execution.hash for execution in executions),
            settings=settings,
            next_settings=BlockSettings(
                chain_id=chain_id,
                gas_limit=limit,
                excess_blob_gas=self._rules.next_excess_blob_gas(excess, blob_gas_used, base_fee),
            ),
            blob_gas_used=blob_gas_used,
        )

    def _read_executed(self, entry: Json, number: int, index: int) -> _ExecutedTransaction:
        mined = self._mined.get((number, index))
        if mined is None:
            raise ValueError(f"block {number} has no receipt of transaction {index}")
        info, receipt = mined["info"], mined["receipt"]
        # An impersonated transaction has a hash that covers its sender; that of the entry does not.
        read = read_transaction({**entry["transaction"], "from": info["from"], "hash": info["transaction_hash"]})
        return _ExecutedTransaction(read, entry.get("impersonated_sender") is not None, info, receipt)

    def _execution(self, done: _ExecutedTransaction, header: Json) -> Execution:
        transaction, sender = done.read.transaction, done.read.sender
        kind, signature = transaction.type, done.read.signature
        if done.is_impersonated:
            kind, signature = IMPERSONATED, (0, 0, 0)
        message = self._rules.messages.carry(SignedTransaction(transaction, *signature), sender)
        gas_used = Gas(_number(done.info["gas_used"]))
        base_fee = quantity(header.get("baseFeePerGas") or "0x0")
        price = min(transaction.max_fee, base_fee + transaction.max_priority_fee)
        succeeded = bool(quantity(done.receipt["status"]))
        output = bytes_of(done.info.get("out") or "0x", _MAX_DATA_BYTES)
        if succeeded and transaction.to is None:
            output = CreateReturn(ActorID(0), None, create_address(sender, transaction.nonce)).encode()
        elif output:
            output = byte_string(output)
        return Execution(
            Candidate(done.read.hash, kind, message, sender, transaction.to, chain_id=self._machine.context.chain_id),
            receipt=Receipt(ExitCode.OK if succeeded else ExitCode.EVM_CONTRACT_REVERTED, output, gas_used),
            paid=TokenAmount(price * gas_used),
            events=tuple(map(_event, done.receipt["logs"])),
            error_message="" if succeeded else str(done.info.get("exit") or ""),
        )


def _event(log: Json) -> EmittedEvent:
    shaped = Log(tuple(word_of(topic) for topic in log["topics"]), bytes_of(log["data"], _MAX_DATA_BYTES))
    return EmittedEvent(ActorID(0), EthAddress(word_of(log["address"], 20)), tuple(log_to_entries(shaped)))


def _header_of(env: Json, number: int) -> Json:
    """Return the header of a block of which the file has the environment only."""
    zero = "0x" + "00" * 32
    blob_gas = env.get("blob_excess_gas_and_price") or {"excess_blob_gas": 0}
    return {
        **dict.fromkeys(_HEADER[:6], zero),
        "miner": env["beneficiary"],
        "logsBloom": "0x",
        "difficulty": "0x0",
        "number": hex(number),
        "gasLimit": hex(_number(env["gas_limit"])),
        "gasUsed": "0x0",
        "timestamp": hex(_number(env["timestamp"])),
        "extraData": "0x",
        "mixHash": env.get("prevrandao") or zero,
        "nonce": "0x0000000000000000",
        "baseFeePerGas": hex(_number(env["basefee"])),
        "excessBlobGas": hex(_number(blob_gas["excess_blob_gas"])),
    }


def _number(value: Any) -> int:
    """Return a number of 64 bits, written as a number or as a quantity. Raises TypeError, ValueError."""
    return unsigned(value if type(value) is int and value >= 0 else quantity(value))


_FORMAT: Final = 2
_WITHOUT_RULES: Final = 1
"""The older format, which does not name the rules."""
_GZIP_MARK: Final = b"\x1f\x8b"
_MAX_EPOCHS_AHEAD: Final = 1_100_000
"""Maximum number of epochs that a state may be ahead of the network (a year); each becomes a null round."""


def dump_state(chain: Chain) -> bytes:
    """Return the head's state in the form of `load_state`."""
    head, machine = chain.head, chain.machine
    outside = OverlayStore(machine.base)
    root = put_object(outside, [_FORMAT, head.height, head.timestamp, link(head.state), chain.rules.name])
    code = set(machine.manifest.codes)
    blocks = ((cid, data) for cid, data in blocks_below(outside, [root]) if cid not in code)
    file = io.BytesIO()
    write_blocks(file, [root], blocks)
    return gzip.compress(file.getbuffer(), 6, mtime=0)


def load_state(chain: Chain, packed: bytes, limit: int = MAX_UNPACKED_BYTES) -> Tipset:
    """Replace the head's state, in a separate block at the state's epoch or after the head.

    A state of anvil replaces the whole chain.

    `limit` is the maximum decompressed size in bytes.

    Raises InvalidInput for a malformed file or a state of another bundle; the chain is then unchanged.
    """
    blocks = BufferedStore(chain.machine.base)
    data = _unpack(packed, limit)
    if is_json(data):
        return load_anvil_state(chain, _parse_json(data))
    try:
        reader = read_car(io.BytesIO(data))
        for cid, data in reader:
            blocks.put(cid, data)
        (root,) = reader.roots
        version, *fields = get_object(blocks, root)
        if version not in (_FORMAT, _WITHOUT_RULES):
            raise InvalidInput(
                f"the file has format {version!r:.40}, this program reads {_WITHOUT_RULES} and {_FORMAT}"
            )
        height, timestamp, state_link, rules = (*fields, chain.rules.name) if version == _WITHOUT_RULES else fields
        _check_rules(chain, rules)
        state = unlink(state_link)
        _check_bundle(chain, blocks, state)
        for _ in blocks_below(blocks, [state]):
            pass  # every block is there
        _check_numbers(chain.head.height, height, timestamp)
        _check_version(chain, height)
    except InvalidInput:
        raise
    except (CarError, BlockNotFound, StoreCorrupt, CodecError, TypeError, ValueError) as error:
        raise _not_a_dump(error) from None
    return chain.adopt(state, blocks.pending, ChainEpoch(height), timestamp)


def _unpack(packed: bytes, limit: int) -> bytes:
    if is_json(packed):
        return packed
    if not packed.startswith(_GZIP_MARK):
        raise _not_a_dump("it is not compressed with gzip")
    try:
        return gunzip(packed, limit)
    except CompressionError as error:
        raise _not_a_dump(error) from None


def _not_a_dump(reason: object) -> InvalidInput:
    return InvalidInput(
        f"the file is not a state dump of a network: {reason}; expected a file of `hypervisor node --dump-state` or "
        "`anvil_dumpState`, or under Ethereum's rules a state file of anvil (JSON)"
    )


def is_json(data: bytes) -> bool:
    """Return True if a decompressed state is JSON, as anvil's are."""
    return data.lstrip()[:1] == b"{"


def _parse_json(data: bytes) -> dict[str, Any]:
    try:
        parsed = parse_json(data)
    except ValueError as error:
        raise InvalidInput(f"this is not a state file of anvil: {error}") from None
    assert isinstance(parsed, dict), "it begins with a brace"
    return parsed


def _check_rules(chain: Chain, rules: object) -> None:
    if rules != chain.rules.name:
        raise InvalidInput(
            f"the state belongs to a network with the rules {rules!r:.40}, this one has "
            f"'{chain.rules.name}': load it into a network with its rules (--rules)"
        )


def _check_bundle(chain: Chain, blocks: BufferedStore, state: Cid) -> None:
    system = StateTree(blocks, state).get_actor(SYSTEM_ACTOR)
    own = chain.machine.state_tree.get_actor(SYSTEM_ACTOR)
    assert own is not None, "a machine's state has a system actor"
    if system is None or system.head != own.head:
        there = "no system actor" if system is None else show(system.head)
        raise InvalidInput(
            f"the state has the built-in actors {there}, this network has {show(own.head)}: use the same bundle"
        )


def _check_version(chain: Chain, height: int) -> None:
    """Raise InvalidInput if an upgrade is due by `height`: this block executes nothing, so it cannot be its block."""
    head = chain.head.height
    versions = {chain.record.upgrades.version_at(epoch) for epoch in (head, max(height, head + 1))}
    if len(versions) > 1:
        raise InvalidInput(
            f"the state of epoch {height} is after an upgrade that "
            f"this network has not executed yet: mine up to the upgrade first"
        )


def _check_numbers(head: int, height: object, timestamp: object) -> None:
    if not (type(height) is int and 0 <= height <= head + _MAX_EPOCHS_AHEAD):
        raise InvalidInput(
            f"the state's epoch is {height!r:.40}: expected at most {_MAX_EPOCHS_AHEAD} after the head, {head}"
        )
    if not (type(timestamp) is int and 0 <= timestamp <= LATEST_TIME):
        raise InvalidInput(f"the state's timestamp is {timestamp!r:.40}: expected Unix seconds")
