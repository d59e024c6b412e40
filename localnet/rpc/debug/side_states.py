"""Methods for programs that execute contracts themselves and actors here: forge's tests, by `FilecoinFork.sol`.

Results are ABI-encoded, because the cheatcode `vm.rpc` returns them to Solidity as bytes.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.calls.side_states import ContractResult, SideCall, SideCallResult
from localnet.rpc.blocks_and_null_rounds import BlockRef, resolve
from localnet.rpc.errors import invalid_params
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import address, as_data, boolean, data, field, fields, format_value, hash32, list_of, number
from store.cid import Cid

_STATE_PREFIX: Final = bytes.fromhex("0171a0e40220")
"""Prefix of every state root: CIDv1, DAG-CBOR, blake2b-256 of 32 bytes."""
_PRECOMPILES: Final = frozenset(EthAddress(b"\xfe" + bytes(18) + bytes([place])) for place in (1, 2, 3, 5, 6))
_FAILED, _SUCCEEDED, _ASKS = range(3)
_MAX_ITEMS: Final = 1_000
_LATEST_EPOCH: Final = (1 << 62) - 1
_REPLY: Final = "(uint8,bytes,bytes32,(address,uint256,uint256)[],(address,address,bytes,bool))"


def begin_state(node: Node, height: int) -> str:
    """Return a 32-byte identifier of the state after a block, for hypervisor_callPrecompile."""
    tipset = resolve(node.network, BlockRef(number=height), or_older=True)
    return as_data(node.side_states.begin(tipset)[len(_STATE_PREFIX) :])


def call_precompile(node: Node, precompile: EthAddress, data: bytes, call: dict[str, Any]) -> str:
    """Call a Filecoin precompile for a contract that another EVM runs. The chain does not change.

    `call` has `from`, `balance` (attoFIL), `state` (its name), `block` (`number`, `time`), `readOnly`, and lists:
    `contracts` and `accounts` (addresses in use there), `answers` (`success`, `output`) of contracts to earlier
    requests. The result is the ABI encoding of one tuple: (uint8 status, bytes output, bytes32 state, (address, uint256
    before, uint256 after)[] balances, (address contract, address caller, bytes calldata, bool readOnly) ask). Status 0
    is failure, 1 is success, and 2 requests a contract call: execute `ask`, and repeat the request with its result
    appended to `answers`.
    """
    return as_data(_reply(node.side_states.call(_call(precompile, data, call))))


def _precompile(value: Any) -> EthAddress:
    found = address(value)
    if found not in _PRECOMPILES:
        raise invalid_params(f"{format_value(value)} is not one of Filecoin's precompiles")
    return found


def _object(value: Any) -> dict[str, Any]:
    return fields(value, "call")


def _call(precompile: EthAddress, data: bytes, request: dict[str, Any]) -> SideCall:
    block = field(request, "block", _object) or {}
    state, sender = field(request, "state", hash32), field(request, "from", address)
    if state is None or sender is None:
        raise invalid_params("state or from is missing")
    return SideCall(
        state=Cid(_STATE_PREFIX + state),
        precompile=precompile,
        data=data,
        sender=sender,
        balance=TokenAmount(field(request, "balance", number) or 0),
        read_only=field(request, "readOnly", boolean) or False,
        epoch=ChainEpoch(field(block, "number", _epoch) or 0),
        time=field(block, "time", _epoch) or 0,
        contracts=field(request, "contracts", list_of(address, _MAX_ITEMS)) or (),
        accounts=field(request, "accounts", list_of(address, _MAX_ITEMS)) or (),
        answers=field(request, "answers", list_of(_side_result, _MAX_ITEMS)) or (),
    )


def _epoch(value: Any) -> int:
    found = number(value)
    if found > _LATEST_EPOCH:
        raise invalid_params(f"{format_value(value)} has more than 62 bits")
    return found


def _side_result(value: Any) -> ContractResult:
    request = fields(value, "answer")
    return ContractResult(field(request, "success", boolean) or False, field(request, "output", data) or b"")


def _reply(response: SideCallResult) -> bytes:
    from eth_abi.abi import encode

    status = _ASKS if response.ask is not None else _SUCCEEDED if response.success else _FAILED
    ask = (ZERO_ADDRESS, ZERO_ADDRESS, b"", False)
    if response.ask is not None:
        ask = (response.ask.contract, response.ask.caller, response.ask.calldata, response.ask.read_only)
    changes = [(change.address, change.before, change.after) for change in response.changes]
    state = response.state[len(_STATE_PREFIX) :]
    return bytes(encode([_REPLY], [(status, response.output, state, changes, ask)]))


METHODS = (
    Method("hypervisor_beginState", (number,), begin_state),
    Method("hypervisor_callPrecompile", (_precompile, data, _object), call_precompile),
)
