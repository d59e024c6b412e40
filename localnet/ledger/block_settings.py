"""Settings of future blocks under Ethereum's rules, stored with the tipset at which they were made.

So they survive a restart, a reorganisation reverts them, and a replayed block has its original ones. Under Filecoin's
rules blocks have no such settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.types import Gas, TokenAmount
from store.codec import encode

LEAST_GAS_LIMIT: Final = 5_000
"""Minimum block gas limit (the execution specifications' GAS_LIMIT_MINIMUM)."""

MAX_GAS_LIMIT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """The settings of a block; None leaves a field to the rules.

    `chain_id` is set from the first block on. `min_gas_price` is the minimum fee cap of the block's transactions, in
    attoFIL per gas. `randomness` applies to a single block. `excess_blob_gas` follows from the parent (EIP-4844).
    """

    chain_id: int | None = None
    coinbase: EthAddress | None = None
    gas_limit: Gas | None = None
    min_gas_price: TokenAmount | None = None
    randomness: bytes | None = None
    excess_blob_gas: int = 0

    def next_defaults(self) -> BlockSettings:
        """Return the default settings of the block after this one."""
        return self if self.randomness is None else replace(self, randomness=None)

    def encode_for_header(self, default_chain_id: int) -> bytes:
        """Encode the settings for a block's header, so that its hash covers them; empty for the defaults.

        `default_chain_id` is the rules' own.
        """
        if self in (DEFAULT_SETTINGS, BlockSettings(default_chain_id)):
            return b""
        chain_id = None if self.chain_id == default_chain_id else self.chain_id
        return encode(replace(self, chain_id=chain_id).fields())

    def fields(self) -> list[Any]:
        """Return the fields as stored in a tipset's entry."""
        price = None if self.min_gas_price is None else self.min_gas_price.to_bytes(16, "big")
        excess = [self.excess_blob_gas] if self.excess_blob_gas else []
        return [self.chain_id, self.coinbase, self.gas_limit, price, self.randomness, *excess]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> BlockSettings:
        """Decode the result of `fields`."""
        chain_id, coinbase, limit, price, randomness, *excess = fields
        return cls(
            chain_id=chain_id,
            coinbase=None if coinbase is None else EthAddress(coinbase),
            gas_limit=None if limit is None else Gas(limit),
            min_gas_price=None if price is None else TokenAmount(int.from_bytes(price, "big")),
            randomness=randomness,
            excess_blob_gas=excess[0] if excess else 0,
        )


DEFAULT_SETTINGS: Final = BlockSettings()
"""Settings that leave every field to the rules."""
