"""The rules of a fork as the guest with revm takes them: a number of revm's `SpecId`, opcodes and prices.

revm's rules are those of `Fork.spec`; its prices are replaced by the fork's. A fork that only adds opcodes and changes
prices needs nothing else. Sources: revm 43's `GasParams` and `gas_table_spec`.
"""

import itertools
from collections.abc import Mapping
from typing import Final

from bridge.ethereum.block import MAX_CODE_SIZE
from hypervisor.errors import InvalidInput
from runtimes.evm.contracts import gas_table
from runtimes.evm.forks.forks import BERLIN, FORKS, ISTANBUL, PRAGUE, SHANGHAI, Fork
from runtimes.evm.revm.guest import list_message
from runtimes.evm.revm.protocol import FORK_RULES, PRICE, GasId

_FRAME_RULES: Final = (
    "pays_for_creation", "keeps_64th", "reserves_0xef", "has_base_fee", "proof_of_stake", "repriced_modexp",
    "bounded_modexp", "warm_coinbase", "resource_gas", "state_gas",
)  # fmt: skip
"""Rules that `Fork.spec` decides."""
_ACCOUNT_RULES: Final = ("clears_empty", "destroys_new_only", "burns_balance", "transfer_logs")
"""Rules that `account_spec` decides."""
_OWN_PRICES: Final = (
    "sha256_base", "sha256_word", "ripemd160_base", "ripemd160_word", "identity_base", "identity_word", "bn254_add",
    "bn254_mul", "bn254_pairing_base", "bn254_pairing_pair",
)  # fmt: skip
"""Prices that the guest has by itself."""
_RESOURCE_GAS: Final = ("transaction_base", "receiver_access", "value_transfer")
"""Prices that revm has by itself if a transaction pays for its receiver and its value (EIP-2780)."""
_ACCESSES: Final = frozenset({
    "BALANCE", "EXTCODESIZE", "EXTCODECOPY", "EXTCODEHASH", "SLOAD", "CALL", "CALLCODE", "DELEGATECALL", "STATICCALL",
})  # fmt: skip
"""Opcodes whose warm price is static in revm."""


class NotRepresentable(Exception):
    """Raised for a price that the guest cannot have."""


def account_spec(fork: Fork) -> int:
    """Return the number of revm's fork whose rules hold for accounts: with delegations, Prague's or later ones."""
    return max(fork.spec, PRAGUE.spec) if fork.delegations else fork.spec


def fork_message(fork: Fork) -> bytes:
    """Return a fork's rules for the guest. Raises InvalidInput for rules that it cannot have."""
    try:
        return _fork_message(fork)
    except NotRepresentable as error:
        reason = "revm has EIP-2780, 7708, 8037, 8038 and 8246 only together, as in Amsterdam, and EIP-7981 with 7976"
        raise InvalidInput(f"the fork {fork.name} is not supported: {reason}") from error


def _fork_message(fork: Fork) -> bytes:
    known, of_accounts = _fork_of_spec(fork.spec), _fork_of_spec(account_spec(fork))
    gas, is_resource = fork.gas, fork.resource_gas
    net_slots = bool(gas.net_slots) and fork.spec < ISTANBUL.spec
    is_same = (
        _equal(fork, known, _FRAME_RULES)
        and _equal(fork, of_accounts, _ACCOUNT_RULES)
        and _equal(gas, known.gas, _OWN_PRICES)
        and (not is_resource or _equal(fork, known, _RESOURCE_GAS))
        and gas.slot_sentry == (0 if net_slots or not gas.net_slots else gas.call_stipend)
        and gas.code_word == (gas.keccak_word if fork.state_gas else 0)
        and (fork.state_gas or not gas.state_byte)
        and (fork.spec >= SHANGHAI.spec or fork.init_code_limit in (None, 2 * MAX_CODE_SIZE))
    )
    if not is_same:
        raise NotRepresentable
    head = FORK_RULES.pack(spec=fork.spec, net_slots=net_slots, slots_collide=fork.slots_collide)
    return head + _price_list(_static_prices(fork)) + _price_list(_prices(fork))


def _price_list(prices: Mapping[int, int]) -> bytes:
    return list_message(itertools.starmap(PRICE.pack_values, prices.items()))


def _fork_of_spec(spec: int) -> Fork:
    return next(fork for fork in FORKS.values() if fork.spec == spec)


def _equal(one: object, other: object, names: tuple[str, ...]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _static_prices(fork: Fork) -> dict[int, int]:
    """Return the static prices of opcodes in revm."""
    gas, found = fork.gas, {}
    topic = fork.opcodes[0xA1].gas - fork.opcodes[0xA0].gas
    for number, opcode in fork.opcodes.items():
        price = opcode.gas
        if opcode.name in _ACCESSES:
            price += gas.warm + (gas.code_read if opcode.name in ("EXTCODESIZE", "EXTCODECOPY") else 0)
        elif opcode.name.startswith("LOG"):
            price -= topic * (number - 0xA0)
        elif opcode.name in ("CREATE", "CREATE2"):
            price -= fork.opcodes[0xF0].gas
        found[number] = _in(range((1 << 16) - 1), price)
    return found


def _prices(fork: Fork) -> Mapping[int, int]:
    """Return the values of revm's `GasParams` by `GasId`."""
    gas = fork.gas
    slot = gas.dirty_slot if gas.net_slots else gas.reset_slot
    set_slot, reset_slot = gas.set_slot - slot, gas.reset_slot - slot
    nonzero = _exact(fork.calldata_nonzero, gas_table.CALLDATA_ZERO)
    token = _exact(fork.floor_nonzero, nonzero) if fork.calldata_floor else 0
    zero = _exact(fork.floor_zero, token) if token else 0
    if zero not in (0, 1, nonzero):
        raise NotRepresentable
    is_berlin = fork.spec >= BERLIN.spec
    accounts = gas.account_bytes * gas.state_byte
    found = {
        GasId.EXP_BYTE_GAS: gas.exp_byte,
        GasId.EXTCODECOPY_PER_WORD: gas.copy_word,
        GasId.COPY_PER_WORD: gas.copy_word,
        GasId.LOGDATA: gas.log_byte,
        GasId.LOGTOPIC: fork.opcodes[0xA1].gas - fork.opcodes[0xA0].gas,
        GasId.MCOPY_PER_WORD: gas.copy_word,
        GasId.KECCAK256_PER_WORD: gas.keccak_word,
        GasId.MEMORY_LINEAR_COST: gas.memory_word,
        GasId.MEMORY_QUADRATIC_REDUCTION: gas.memory_quotient,
        GasId.INITCODE_PER_WORD: gas.init_code_word,
        GasId.CREATE: fork.opcodes[0xF0].gas,
        GasId.TRANSFER_VALUE_COST: gas.call_value,
        GasId.COLD_ACCOUNT_ADDITIONAL_COST: gas.cold_account - gas.warm,
        GasId.NEW_ACCOUNT_COST: gas.new_account,
        GasId.WARM_STORAGE_READ_COST: gas.warm,
        GasId.SSTORE_STATIC: slot,
        GasId.SSTORE_SET_WITHOUT_LOAD_COST: set_slot,
        GasId.SSTORE_RESET_WITHOUT_COLD_LOAD_COST: reset_slot,
        GasId.SSTORE_CLEARING_SLOT_REFUND: gas.clear_refund,
        GasId.SELFDESTRUCT_REFUND: gas.destroy_refund,
        GasId.CALL_STIPEND: gas.call_stipend,
        GasId.COLD_STORAGE_ADDITIONAL_COST: gas.cold_slot - gas.warm,
        GasId.COLD_STORAGE_COST: gas.cold_write,
        GasId.NEW_ACCOUNT_COST_FOR_SELFDESTRUCT: gas.heir_account,
        GasId.CODE_DEPOSIT_COST: gas.code_byte,
        GasId.TX_EIP7702_REGULAR_GAS: fork.authorization if fork.delegations else 0,
        GasId.TX_TOKEN_NON_ZERO_BYTE_MULTIPLIER: nonzero,
        GasId.TX_TOKEN_COST: gas_table.CALLDATA_ZERO,
        GasId.TX_FLOOR_COST_PER_TOKEN: token,
        GasId.TX_FLOOR_COST_BASE_GAS: fork.transaction_base if fork.calldata_floor else 0,
        GasId.TX_ACCESS_LIST_ADDRESS_COST: fork.access_list_address + 20 * fork.access_list_byte if is_berlin else 0,
        GasId.TX_ACCESS_LIST_STORAGE_KEY_COST: fork.access_list_slot + 32 * fork.access_list_byte if is_berlin else 0,
        GasId.TX_BASE_STIPEND: fork.transaction_base,
        GasId.TX_CREATE_COST: fork.create_access,
        GasId.TX_INITCODE_COST: gas.init_code_word,
        GasId.SSTORE_SET_REFUND: set_slot,
        GasId.SSTORE_RESET_REFUND: reset_slot,
        GasId.TX_EIP7702_REGULAR_REFUND: 0 if fork.state_gas else gas_table.AUTHORIZATION_REFUND,
        GasId.SSTORE_SET_STATE_GAS: gas.slot_bytes * gas.state_byte,
        GasId.NEW_ACCOUNT_STATE_GAS: accounts,
        GasId.CODE_DEPOSIT_STATE_GAS: gas.state_byte,
        GasId.CREATE_STATE_GAS: accounts,
        GasId.TX_EIP7702_STATE_GAS_BYTECODE: gas_table.DELEGATION_BYTES * gas.state_byte,
        GasId.TX_FLOOR_TOKEN_ZERO_BYTE_MULTIPLIER: zero,
        GasId.TX_ACCESS_LIST_FLOOR_BYTE_MULTIPLIER: (
            _exact(fork.access_list_byte, token) if fork.access_list_byte else 0
        ),
        GasId.MAX_REFUND_QUOTIENT: fork.refund_quotient,
        GasId.TX_ACCOUNT_WRITE_COST: fork.account_write,
        GasId.TX_CREATE_ACCESS_COST: fork.create_access,
    }
    return {number: _in(range(1 << 63), price) for number, price in found.items()}


def _exact(price: int, unit: int) -> int:
    if not unit or price % unit:
        raise NotRepresentable
    return price // unit


def _in(allowed: range, price: int) -> int:
    if price not in allowed:
        raise NotRepresentable
    return price
