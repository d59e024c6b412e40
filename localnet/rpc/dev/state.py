"""Methods that edit, dump and load the state and impersonate accounts, also under the names of other nodes.

A dump under Ethereum's rules is a state file of anvil. Only accounts with an Ethereum address are written; the format
has no place for built-in actors. Format: crates/anvil/src/eth/backend/db.rs, `SerializableState`.

ERC-20 balances and allowances are set in any storage layout. The slot is found by trial: of the slots that the contract
reads for its result, the one that changes the result to the wanted value. Sources: EIP-20; anvil for names and
parameters.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, from_delegated, to_filecoin
from bridge.ethereum.block import ETHEREUM
from bridge.filecoin.receipts import display_calldata
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from localnet.calls import simulate
from localnet.calls.overrides import AccountOverride, Overrides
from localnet.chain.reading import NetworkReader
from localnet.chain.state_file import header_hash
from localnet.errors import CallFailed
from localnet.ledger.candidates import IMPERSONATED
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.lotus_values import filecoin_address
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.shapes import block_json, receipt_json, transaction_json
from localnet.rpc.values import address, as_data, as_quantity, boolean, data, number, word
from localnet.rules.facts import CallRequest
from localnet.state.controls import code_of, code_of_contract, nonce_of_actor, slots_of, state_with_storage
from localnet.traces.ethereum_traces import access_list

_BODY = ("size", "totalDifficulty", "transactions", "uncles", "withdrawals")
"""Fields of a block in JSON-RPC that are not in its header. anvil ignores the hash: it computes its own."""
_ADDED_BY_NODE = ("blockHash", "blockNumber", "blockTimestamp", "transactionIndex", "from")
"""Fields of a transaction in JSON-RPC that are not part of the signed transaction; anvil recovers the sender."""


def anvil_state(network: NetworkReader) -> bytes:
    """Return the head's state with the chain's blocks and transactions, as JSON."""
    head = network.head
    blocks, transactions, parent = list[Any](), list[Any](), bytes(32)
    for tipset in _tipsets(network):
        entry, parent = _block(network, tipset, parent)
        blocks.append(entry)
        transactions += [_transaction(network, receipt, parent) for receipt in network.chain.index.receipts(tipset)]
    header, excess = blocks[-1]["header"], head.settings.excess_blob_gas
    state = {
        "block": {
            "number": as_quantity(head.height),
            "beneficiary": header["miner"],
            "timestamp": header["timestamp"],
            "gas_limit": int(header["gasLimit"], 16),
            "basefee": head.base_fee,
            "difficulty": "0x0",
            "prevrandao": header["mixHash"],
            "blob_excess_gas_and_price": {
                "excess_blob_gas": excess,
                "blob_gasprice": network.rules.blob_base_fee(excess),
            },
            "slot_num": 0,
        },
        "accounts": dict(_accounts(network.machine)),
        "best_block_number": head.height,
        "blocks": blocks,
        "transactions": transactions,
        "historical_states": None,
    }
    return json.dumps(state, separators=(",", ":")).encode()


def _tipsets(network: NetworkReader) -> Iterator[Tipset]:
    """Yield the tipsets after the newest null round up to the head, oldest first."""
    index, heights = network.chain.index, list[int]()
    height = int(network.head.height)
    while isinstance(index.at(height), Tipset):
        heights.append(height)
        height -= 1
    return map(index.tipset, reversed(heights))


def _accounts(machine: Hypervisor) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, actor in machine.state_tree.actors():
        address = from_delegated(actor.delegated_address)
        if address is not None:
            yield as_data(address), _account(machine, actor)


def _account(machine: Hypervisor, actor: ActorState) -> dict[str, Any]:
    state, slots = state_with_storage(machine, actor), slots_of(machine, actor)
    return {
        "nonce": nonce_of_actor(machine, actor),
        "balance": as_quantity(actor.balance),
        "code": "0x" if state is None else as_data(code_of_contract(machine, state)),
        "storage": {as_data(_word(slot)): as_data(_word(value)) for slot, value in sorted(slots.items())},
    }


def _block(network: NetworkReader, tipset: Tipset, parent: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the file's entry for a block, and the block's hash as anvil computes it from the header."""
    index, rules = network.chain.index, network.rules
    shown = block_json(index, tipset, rules, full=False)
    header = {name: value for name, value in shown.items() if name not in _BODY} | {"parentHash": as_data(parent)}
    sent = [_sent(receipt) for receipt in index.receipts(tipset)]
    return {"header": header, "transactions": sent, "ommers": [], "withdrawals": None}, header_hash(header)


def _sent(receipt: TransactionReceipt) -> dict[str, Any]:
    fields = {name: value for name, value in transaction_json(receipt).items() if name not in _ADDED_BY_NODE}
    if "maxFeePerGas" in fields:
        del fields["gasPrice"]
    impersonated = as_data(receipt.candidate.sender) if receipt.candidate.kind == IMPERSONATED else None
    return {"transaction": fields, "impersonated_sender": impersonated}


def _transaction(network: NetworkReader, receipt: TransactionReceipt, block_hash: bytes) -> dict[str, Any]:
    shown, sent = receipt_json(receipt, network.rules), receipt.candidate
    logs = [{name: log[name] for name in ("address", "topics", "data")} for log in shown["logs"]]
    exit_name = "Return" if receipt.succeeded else "Revert"
    output = as_data(_output(network, receipt))
    call = {
        "depth": 0, "success": receipt.succeeded, "caller": shown["from"],
        "address": shown["to"] or shown["contractAddress"], "maybe_precompile": None, "selfdestruct_address": None,
        "selfdestruct_refund_target": None, "selfdestruct_transferred_value": None,
        "kind": "CREATE" if sent.to is None else "CALL", "value": as_quantity(sent.bare.value),
        "data": as_data(display_calldata(sent.bare)), "output": output, "gas_used": receipt.gas_used,
        "gas_limit": sent.bare.gas_limit, "gas_refund_counter": 0, "status": exit_name, "steps": [],
        "decoded": None,
    }  # fmt: skip
    info = {
        "transaction_hash": shown["transactionHash"],
        "transaction_index": receipt.index,
        "from": shown["from"],
        "to": shown["to"],
        "contract_address": shown["contractAddress"],
        "traces": [{"parent": None, "children": [], "idx": 0, "trace": call, "logs": [], "ordering": []}],
        "exit": exit_name,
        "out": output,
        "nonce": sent.bare.nonce,
        "gas_used": receipt.gas_used,
    }
    common = {name: shown[name] for name in ("type", "status", "cumulativeGasUsed", "logsBloom")}
    return {
        "info": info,
        "receipt": {**common, "logs": logs},
        "block_hash": as_data(block_hash),
        "block_number": receipt.block_number,
    }


def _output(network: NetworkReader, receipt: TransactionReceipt) -> bytes:
    """Return a transaction's return data, or the code of the contract that it created (empty if it was destroyed)."""
    created = receipt.contract_address
    if created is None:
        return receipt.return_data
    return code_of(network.machine, to_filecoin(created))


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def actor_address(value: Any) -> EthAddress | Address:
    """Read an Ethereum or Filecoin address, in the form given."""
    if isinstance(value, str) and not value.startswith("0x"):
        return filecoin_address(value)
    read: EthAddress = address(value)
    return read


def set_balance(node: Node, owner: EthAddress | Address, amount: int) -> None:
    """Set the balance of an Ethereum or Filecoin address in attoFIL."""
    node.network.set_balance(owner, amount)


def add_balance(node: Node, owner: EthAddress | Address, amount: int) -> None:
    """Add attoFIL to the balance of an address."""
    node.network.set_balance(owner, node.network.balance(owner) + amount)


def set_nonce(node: Node, owner: EthAddress, nonce: int) -> None:
    """Set the nonce of an account or a contract."""
    node.network.set_nonce(owner, nonce)


def set_code(node: Node, owner: EthAddress, code: bytes) -> None:
    """Set the runtime code of an Ethereum address, without running a constructor; all else is unchanged."""
    node.network.set_code(owner, code)


def set_storage_at(node: Node, owner: EthAddress, slot: int, value: int) -> bool:
    """Set a storage slot of a contract; under Ethereum's rules, of any address."""
    node.network.set_storage(owner, {slot: value})
    return True


def impersonate_account(node: Node, owner: EthAddress) -> None:
    """Allow eth_sendTransaction from an address without a key: an account, a contract, or a masked ID."""
    node.impersonated.add(owner)


def stop_impersonating_account(node: Node, owner: EthAddress) -> None:
    """Stop impersonating an account."""
    node.impersonated.discard(owner)


def auto_impersonate_account(node: Node, on: bool) -> None:
    """Allow or forbid eth_sendTransaction from every address."""
    node.impersonates_all = on


def dump_state(node: Node) -> str:
    """Return the state for anvil_loadState: anvil's form under Ethereum's rules, else one for the same actors."""
    if node.network.rules.name != ETHEREUM:
        return as_data(node.network.dump_state())
    return as_data(gzip.compress(anvil_state(node.network), 6, mtime=0))


def load_state(node: Node, state: bytes) -> bool:
    """Load a dumped state in a new block. A state file of anvil replaces the whole chain."""
    node.network.load_state(state)
    return True


MAX_SLOTS: Final = 100
"""Maximum number of slots to try, among those that the call reads."""

_BALANCE_OF: Final = bytes.fromhex("70a08231")
_ALLOWANCE: Final = bytes.fromhex("dd62ed3e")
_WORD: Final = 32


def deal_erc20(node: Node, owner: EthAddress, token: EthAddress, amount: int) -> None:
    """Set the ERC-20 balance of an address, in the token's smallest unit; the total supply is unchanged."""
    _set(node, token, _BALANCE_OF + _pad_addresses(owner), amount, "balance")


def set_erc20_allowance(node: Node, owner: EthAddress, spender: EthAddress, token: EthAddress, amount: int) -> None:
    """Set the ERC-20 allowance of a spender for an owner's tokens."""
    _set(node, token, _ALLOWANCE + _pad_addresses(owner, spender), amount, "allowance")


def _set(node: Node, token: EthAddress, calldata: bytes, amount: int, what: str) -> None:
    """Set the slot whose value the contract returns. Raises RpcError if there is none."""
    machine, request = node.network.machine, CallRequest(token, calldata)
    wanted = amount.to_bytes(_WORD, "big")
    slots = [(owner, slot) for owner, slots in access_list(machine, request) for slot in slots]
    for owner, slot in slots[:MAX_SLOTS]:
        overrides = Overrides({owner: AccountOverride(state_diff={slot: amount})})
        try:
            if simulate.call(machine, request, overrides) == wanted:
                node.network.set_storage(owner, {slot: amount})
                return
        except CallFailed:
            pass  # the slot has another meaning
    raise RpcError(SERVER_ERROR, f"the {what} of {as_data(token)} cannot be set: no storage slot contains it")


def _pad_addresses(*addresses: EthAddress) -> bytes:
    return b"".join(each.rjust(_WORD, b"\0") for each in addresses)


METHODS = (
    Method("anvil_dumpState", (), dump_state, aliases=("hardhat_dumpState",)),
    Method("anvil_loadState", (data,), load_state, aliases=("hardhat_loadState",)),
    Method(
        "anvil_setBalance",
        (actor_address, number),
        set_balance,
        aliases=("hardhat_setBalance", "tenderly_setBalance"),
    ),
    Method(
        "anvil_addBalance",
        (actor_address, number),
        add_balance,
        aliases=("hardhat_addBalance", "tenderly_addBalance"),
    ),
    Method("anvil_setNonce", (address, number), set_nonce, aliases=("hardhat_setNonce", "evm_setAccountNonce")),
    Method("anvil_setCode", (address, data), set_code, aliases=("hardhat_setCode",)),
    Method("anvil_setStorageAt", (address, word, word), set_storage_at, aliases=("hardhat_setStorageAt",)),
    Method("anvil_impersonateAccount", (address,), impersonate_account, aliases=("hardhat_impersonateAccount",)),
    Method(
        "anvil_stopImpersonatingAccount",
        (address,),
        stop_impersonating_account,
        aliases=("hardhat_stopImpersonatingAccount",),
    ),
    Method(
        "anvil_autoImpersonateAccount",
        (boolean,),
        auto_impersonate_account,
        aliases=("hardhat_autoImpersonateAccount",),
    ),
    Method(
        "anvil_dealERC20",
        (address, address, number),
        deal_erc20,
        aliases=("hardhat_dealERC20", "anvil_setERC20Balance"),
    ),
    Method("anvil_setERC20Allowance", (address, address, address, number), set_erc20_allowance),
)
