"""The rules of a fork as the guest with revm takes them: a number of revm's `SpecId`, opcodes and prices.

revm's rules are those of `Fork.spec`; its prices are replaced by the fork's. A fork that only adds opcodes and changes
prices needs nothing else. Sources: revm 43's `GasParams` and `gas_table_spec`.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from bridge.ethereum.block import MAX_CODE_SIZE
from hypervisor.errors import InvalidInput
from runtimes.evm.contracts import gas_table
from runtimes.evm.forks.forks import BERLIN, FORKS, ISTANBUL, PRAGUE, SHANGHAI, Fork

_HEAD: Final = Struct("<III")
_OPCODES: Final = Struct("<256H")
_COUNT: Final = Struct("<I")
_PRICE: Final = Struct("<IQ")
_ABSENT: Final = (1 << 16) - 1

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
    found = _prices(fork)
    head = _HEAD.pack(fork.spec, net_slots, fork.slots_collide) + _OPCODES.pack(
        *map(_static_prices(fork).get, range(256), [_ABSENT] * 256)
    )
    return head + _COUNT.pack(len(found)) + b"".join(_PRICE.pack(number, price) for number, price in found.items())


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
        found[number] = _in(range(_ABSENT), price)
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
        1: gas.exp_byte, 2: gas.copy_word, 3: gas.copy_word, 4: gas.log_byte,
        5: fork.opcodes[0xA1].gas - fork.opcodes[0xA0].gas,
        6: gas.copy_word, 7: gas.keccak_word, 8: gas.memory_word, 9: gas.memory_quotient, 10: gas.init_code_word,
        11: fork.opcodes[0xF0].gas, 13: gas.call_value, 14: gas.cold_account - gas.warm, 15: gas.new_account,
        16: gas.warm, 17: slot, 18: set_slot, 19: reset_slot, 20: gas.clear_refund, 21: gas.destroy_refund,
        22: gas.call_stipend, 23: gas.cold_slot - gas.warm, 24: gas.cold_write, 25: gas.heir_account, 26: gas.code_byte,
        27: fork.authorization if fork.delegations else 0, 28: nonzero, 29: gas_table.CALLDATA_ZERO, 30: token,
        31: fork.transaction_base if fork.calldata_floor else 0,
        32: fork.access_list_address + 20 * fork.access_list_byte if is_berlin else 0,
        33: fork.access_list_slot + 32 * fork.access_list_byte if is_berlin else 0,
        34: fork.transaction_base, 35: fork.create_access, 36: gas.init_code_word, 37: set_slot, 38: reset_slot,
        39: 0 if fork.state_gas else gas_table.AUTHORIZATION_REFUND, 40: gas.slot_bytes * gas.state_byte, 41: accounts,
        42: gas.state_byte, 43: accounts, 44: gas_table.DELEGATION_BYTES * gas.state_byte, 45: zero,
        46: _exact(fork.access_list_byte, token) if fork.access_list_byte else 0, 47: fork.refund_quotient,
        48: fork.account_write, 49: fork.create_access,
    }  # fmt: skip
    return {number: _in(range(1 << 63), price) for number, price in found.items()}


def _exact(price: int, unit: int) -> int:
    if not unit or price % unit:
        raise NotRepresentable
    return price // unit


def _in(allowed: range, price: int) -> int:
    if price not in allowed:
        raise NotRepresentable
    return price
