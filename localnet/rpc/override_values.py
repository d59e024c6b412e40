"""Parsing of state and block overrides in requests.

Shapes: EthSimulatePayload of execution-apis, which `eth_call` shares. Block fields that Filecoin does not have are
refused, and so are withdrawals and beacon roots outside of `eth_simulateV1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import Withdrawal
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from localnet.calls.overrides import AccountOverride
from localnet.rpc.errors import SERVER_ERROR, RpcError, invalid_params
from localnet.rpc.values import address, data, field, fields, format_value, hash32, list_of, quantity, uint64
from localnet.rules.facts import BlockOverride

Accounts = Mapping[EthAddress, AccountOverride]

NO_ACCOUNTS: Final[Accounts] = {}
MAX_ACCOUNTS: Final = 1_000

_ACCOUNT: Final = ("balance", "nonce", "code", "state", "stateDiff", "movePrecompileToAddress")
_BLOCK: Final = (
    "number", "time", "baseFeePerGas", "gasLimit", "feeRecipient", "coinbase", "prevRandao", "random", "blobBaseFee",
)  # fmt: skip
_SIMULATED_BLOCK: Final = (
    *(name for name in _BLOCK if name not in ("coinbase", "random")),
    "withdrawals",
    "beaconRoot",
)
_NO_BLOCK: Final = ("difficulty", "blockHash")
_MAX_WITHDRAWALS: Final = 1_000


def accounts(value: Any) -> Accounts:
    """Read account overrides, by address."""
    request = fields(value, "set of state overrides")
    if len(request) > MAX_ACCOUNTS:
        raise invalid_params(f"overrides of {len(request)} accounts, at most {MAX_ACCOUNTS}")
    return {address(owner): _account(override) for owner, override in request.items()}


def simulated_block_override(value: Any) -> BlockOverride:
    """Read the override of a simulated block, which may also have withdrawals and a beacon root."""
    request = fields(value, "block override")
    withdrawals = field(request, "withdrawals", list_of(_withdrawal, _MAX_WITHDRAWALS))
    return block_override(value, _SIMULATED_BLOCK)._replace(
        withdrawals=None if withdrawals is None else tuple(withdrawals),
        beacon_root=field(request, "beaconRoot", hash32),
    )


def _withdrawal(value: Any) -> Withdrawal:
    request = fields(value, "withdrawal")
    index, validator, amount = (field(request, name, uint64) for name in ("index", "validatorIndex", "amount"))
    receiver = field(request, "address", address)
    if index is None or validator is None or amount is None or receiver is None:
        raise invalid_params("a withdrawal has index, validatorIndex, address and amount (gwei)")
    return Withdrawal(index, validator, receiver, amount)


def block_override(value: Any, names: Sequence[str] = _BLOCK) -> BlockOverride:
    """Read a block override, which may have the fields `names`."""
    request = fields(value, "block override")
    for name in request:
        if name in _SIMULATED_BLOCK and name not in names:
            raise RpcError(SERVER_ERROR, f'block override "{name}" is not supported for this RPC method')
        if name in _NO_BLOCK:
            raise invalid_params(f"{name}: blocks of this network have no such field to override")
        if name not in names:
            raise invalid_params(
                f"{format_value(name)} is not a field of a block override: expected {', '.join(names)}"
            )
    number, base_fee = field(request, "number", quantity), field(request, "baseFeePerGas", quantity)
    time = field(request, "time", quantity)
    for name, value in (("number", number), ("time", time)):
        if value is not None and value >> 63:
            raise invalid_params(f"{name}: {value} has more than 63 bits")
    gas, blob_base_fee = field(request, "gasLimit", uint64), field(request, "blobBaseFee", quantity)
    coinbase = field(request, "feeRecipient", address)
    randomness = field(request, "prevRandao", hash32)
    return BlockOverride(
        number=None if number is None else ChainEpoch(number),
        time=time,
        base_fee=None if base_fee is None else TokenAmount(base_fee),
        gas_limit=None if gas is None else Gas(gas),
        coinbase=field(request, "coinbase", address) if coinbase is None else coinbase,
        randomness=field(request, "random", hash32) if randomness is None else randomness,
        blob_base_fee=None if blob_base_fee is None else TokenAmount(blob_base_fee),
    )


def _account(value: Any) -> AccountOverride:
    request = fields(value, "account override")
    for name in request:
        if name not in _ACCOUNT:
            raise invalid_params(
                f"{format_value(name)} is not a field of an account override: expected {', '.join(_ACCOUNT)}"
            )
    if "movePrecompileToAddress" in request:
        raise invalid_params("movePrecompileToAddress: this node's precompiles cannot be moved")
    if "state" in request and "stateDiff" in request:
        raise invalid_params("state and stateDiff cannot be used together: pass one of them")
    balance = field(request, "balance", quantity)
    return AccountOverride(
        balance=None if balance is None else TokenAmount(balance),
        nonce=field(request, "nonce", uint64),
        code=field(request, "code", data),
        state=field(request, "state", _slots),
        state_diff=field(request, "stateDiff", _slots),
    )


def _slots(value: Any) -> dict[int, int]:
    return {_word(slot): _word(word) for slot, word in fields(value, "set of slots").items()}


def _word(value: Any) -> int:
    return int.from_bytes(hash32(value), "big")
