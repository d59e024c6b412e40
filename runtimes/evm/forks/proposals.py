"""Proposals (EIPs) that can be added to any fork by their numbers, as in `Osaka+7954`.

Each row lists only the changes of its proposal. Amounts in gas, sizes in bytes. Sources: the proposals, and
go-ethereum v1.17.10 for their numbers.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from runtimes.evm.forks.fork_opcodes import PROPOSED_OPCODES

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Proposal(NamedTuple):
    """The changes of one EIP: opcodes with their static gas, fields of `GasTable`, fields of `Fork`."""

    opcodes: str = ""
    gas: Mapping[str, int] = _NOTHING
    rules: Mapping[str, Any] = _NOTHING


PROPOSALS: Final[Mapping[int, Proposal]] = MappingProxyType({
    **{number: Proposal(rows) for number, rows in PROPOSED_OPCODES.items()},
    2780: Proposal(
        rules={
            "resource_gas": True,
            "transaction_base": 12_000,  # TX_BASE_COST
            "create_access": 12_000,  # ACCOUNT_WRITE (9,000) + COLD_ACCOUNT_ACCESS (3,000)
            "receiver_access": 3000, "value_transfer": 6000,
        },
    ),
    7708: Proposal(rules={"transfer_logs": True}),
    7778: Proposal(rules={"gas_before_refunds": True}),
    7928: Proposal(rules={"access_lists": True}),
    7954: Proposal(rules={"code_limit": 1 << 16, "init_code_limit": 1 << 17}),
    7976: Proposal(rules={"floor_zero": 64, "floor_nonzero": 64}),
    7981: Proposal(rules={"access_list_byte": 64}),
    7997: Proposal(),  # a contract in the genesis of a chain; a local network has it under every fork
    8037: Proposal(
        gas={
            "state_byte": 1530,
            "set_slot": 2900,  # the price of a changed slot: 5,000 - COLD_SLOAD_COST (2,100)
            "new_account": 0, "heir_account": 0, "code_byte": 0, "code_word": 6,
        },
        rules={
            "state_gas": True,
            "transaction_gas_cap": (1 << 32) - 1, "execution_gas_cap": 1 << 24,
            # 101 bytes of data at 16, ECRECOVER (3,000), COLD_ACCOUNT_ACCESS (3,000), two writes at WARM_ACCESS (100)
            "authorization": 7816,
        },
    ),
    8038: Proposal(
        "f0 CREATE 12000  f5 CREATE2 12000",  # ACCOUNT_WRITE (9,000) + COLD_ACCOUNT_ACCESS (3,000)
        gas={
            "cold_account": 3000, "cold_write": 2000, "code_read": 100,
            "call_value": 11_300,  # ACCOUNT_WRITE (9,000) + stipend (2,300)
            "set_slot": 10_100, "reset_slot": 10_100,  # STORAGE_WRITE (10,000) + WARM_ACCESS (100)
            "clear_refund": 11_616,  # (STORAGE_WRITE + COLD_STORAGE_ACCESS (2,100)) * 4,800 / 5,000
            "heir_account": 9000,
        },
        rules={
            "access_list_address": 2900,  # COLD_ACCOUNT_ACCESS (3,000) - WARM_ACCESS (100)
            "access_list_slot": 2000,  # COLD_STORAGE_ACCESS (2,100) - WARM_ACCESS (100)
            "account_write": 9000,
        },
    ),
    8246: Proposal(rules={"burns_balance": False}),
    8282: Proposal(rules={"builder_requests": True}),
})  # fmt: skip
"""Proposals by number."""

COMBINED: Final = (8037, 8038)
"""Proposals whose prices depend on each other, so that a fork has both or neither, as in go-ethereum."""
AMSTERDAM: Final = (2780, 7708, 7778, 7843, 7928, 7954, 7976, 7981, 7997, 8024, 8037, 8038, 8246, 8282)
"""The proposals of Amsterdam (EIP-7773) that concern the execution layer."""
DATE: Final = "2026-10-23"
"""Date of go-ethereum v1.17.10, whose form of the proposals is followed."""
