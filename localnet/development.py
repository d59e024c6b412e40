"""Changes to a development network without a transaction: time, fees and states.

`localnet.state.controls` makes the changes. This module applies them to the head.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor.types import MAX_FILECOIN_BALANCE, Gas, TokenAmount, octets, whole_number
from localnet.addresses import Target, filecoin_address, parse_target
from localnet.chain.block_production import BlockProduction
from localnet.ledger.candidates import Candidate
from localnet.ledger.genesis import MAX_CHAIN_ID
from localnet.ledger.records import LEAST_GAS_LIMIT, MAX_GAS_LIMIT, BlockSettings, Tipset
from localnet.state import controls
from store.untrusted import MAX_UNPACKED_BYTES

_LOG = logging.getLogger(__name__)

RANDOMNESS_BYTES: Final = 32


class DevelopmentChain(BlockProduction):
    """A network's chain with direct changes."""

    # --- time -------------------------------------------------------------------------------------------------

    def increase_time(self, seconds: int) -> int:
        """Advance the chain's clock by `seconds` and return the total offset. Epochs do not change (see `mine`).

        The next block is at least `seconds` later than the head. Raises InvalidInput for a negative number, and for a
        time after the year 9999.
        """
        return self._clock.increase(seconds, self.head.timestamp)

    def set_next_timestamp(self, timestamp: int) -> None:
        """Set the next block's time in Unix seconds; the clock continues from there. Raises InvalidInput."""
        self._clock.set_next(timestamp, self.head.timestamp)

    def set_time(self, timestamp: int) -> int:
        """Set the chain's clock to a time in Unix seconds and return the change of the offset. Raises InvalidInput."""
        return self._clock.set(timestamp, self.head.timestamp)

    def set_block_interval(self, seconds: int | None) -> None:
        """Set the time between blocks in seconds; None uses the clock. Raises InvalidInput."""
        self._clock.set_interval(seconds)

    @property
    def block_interval(self) -> int | None:
        """Time between blocks in seconds, or None if blocks follow the clock."""
        return self._clock.interval

    def stop_clock(self) -> None:
        """Stop the chain's clock at the head's time, so that timestamps do not depend on the speed of a test.

        Each block is one second later than its parent. Time travel works as usual.
        """
        self._clock.stop(self.head.timestamp)

    def start_clock(self) -> None:
        """Let the chain's clock run again."""
        self._clock.start()

    @property
    def is_clock_stopped(self) -> bool:
        """True between `stop_clock` and `start_clock`."""
        return self._clock.is_stopped

    # --- state ------------------------------------------------------------------------------------------------

    def set_balance(self, target: Target, amount: int) -> None:
        """Set the balance of an account or actor in attoFIL, without a transaction. Raises InvalidInput."""
        controls.set_balance(self.machine, parse_target(target), TokenAmount(amount), self.rules.limits.balance)
        self.chain.keep_changes()

    def set_nonce(self, target: Target, nonce: int) -> None:
        """Set the nonce of an account or contract, without a transaction. Raises InvalidInput."""
        controls.set_nonce(self.machine, parse_target(target), nonce)
        self.chain.keep_changes()

    def set_code(self, target: Target, code: bytes) -> None:
        """Set the runtime code of an Ethereum address, without a transaction. Raises InvalidInput for native actors."""
        controls.set_code(self.machine, parse_target(target), code)
        self.chain.keep_changes()

    def set_storage(self, target: Target, slots: Mapping[int, int]) -> None:
        """Set storage slots of a contract, without a transaction. Raises InvalidInput (`controls.set_storage`)."""
        controls.set_storage(self.machine, parse_target(target), slots, bare=self.rules.features.allows_bare_storage)
        self.chain.keep_changes()

    def grant_datacap(self, target: Target, size: int) -> None:
        """Grant an account DataCap for `size` more bytes, at least 256, without a transaction.

        The account becomes a verified client. Raises InvalidInput if the registry rejects it.
        """
        from localnet.miners.onboarding import grant

        grant(self.chain, filecoin_address(target), size)

    def set_next_base_fee(self, base_fee: int) -> None:
        """Set the next block's base fee in attoFIL per gas; it continues from there. Raises InvalidInput."""
        highest = self.rules.limits.base_fee
        whole_number(base_fee, "a base fee", 0, highest, unit=self.rules.unit)
        self.chain.set_next_base_fee(TokenAmount(base_fee))

    # --- blocks under Ethereum's rules ------------------------------------------------------------------------

    def set_coinbase(self, owner: EthAddress) -> None:
        """Set the recipient of priority fees of later blocks. Raises InvalidInput if the rules have none."""
        self._set(coinbase=owner)

    def set_block_gas_limit(self, limit: int) -> None:
        """Set the gas limit of later blocks, at least `LEAST_GAS_LIMIT`. Raises InvalidInput."""
        whole_number(limit, "a block gas limit", LEAST_GAS_LIMIT, MAX_GAS_LIMIT)
        self._set(gas_limit=Gas(limit))

    def set_default_block_gas_limit(self, limit: int) -> None:
        """Set the node's default block gas limit, which the folder does not store. Raises InvalidInput."""
        whole_number(limit, "a block gas limit", LEAST_GAS_LIMIT, MAX_GAS_LIMIT)
        if self.head.next_settings.gas_limit is not None:  # of a folder: the option is newer
            self._set(gas_limit=None)
        self._check_settings("block gas limit")
        self.chain.set_default_gas_limit(Gas(limit))

    def set_min_gas_price(self, price: int) -> None:
        """Set the minimum fee cap of later transactions, in attoFIL per gas. Raises InvalidInput."""
        whole_number(price, "a gas price", 0, MAX_FILECOIN_BALANCE, unit=self.rules.unit)
        self._set(min_gas_price=TokenAmount(price))

    def set_next_randomness(self, randomness: bytes) -> None:
        """Set PREVRANDAO of the next block, 32 bytes. Raises InvalidInput."""
        if len(octets(randomness, "randomness")) != RANDOMNESS_BYTES:
            raise InvalidInput(f"randomness has {RANDOMNESS_BYTES} bytes, not {len(randomness)}")
        self._set(randomness=randomness)

    def set_chain_id(self, chain_id: int) -> None:
        """Set the chain ID. Pending transactions signed for another chain ID are dropped. Raises InvalidInput."""
        whole_number(chain_id, "a chain id", 1, MAX_CHAIN_ID)
        waiting = [(candidate, _signed_for(candidate)) for candidate in self.mempool]
        self._set(chain_id=chain_id)
        for candidate, signed_for in waiting:
            if signed_for not in (None, chain_id):
                self.mempool.drop(candidate)
                _LOG.warning(
                    "transaction 0x%s is dropped: it is signed for chain id %s, the chain id is %s now",
                    candidate.hash.hex(), signed_for, chain_id,
                )  # fmt: skip

    def forget_settings(self) -> None:
        """Reset block settings to those of the rules and the node's options. The chain ID is unchanged."""
        settings = self.head.next_settings
        if settings != (without := BlockSettings(chain_id=settings.chain_id)):
            self.chain.set_next_settings(without)

    def _set(self, **changed: Any) -> None:
        self._check_settings(", ".join(changed))
        self.chain.set_next_settings(replace(self.head.next_settings, **changed))

    def _check_settings(self, what: str) -> None:
        if not self.rules.features.has_settings:
            raise InvalidInput(
                f"the rules '{self.rules.name}' fix the fields of blocks, including {what}: "
                f"create a network with the rules '{ETHEREUM}' "
                f"to set it"
            )

    # --- whole states -----------------------------------------------------------------------------------------

    def dump_state(self) -> bytes:
        """Return the state as one file, for `load_state` of a network with the same bundle."""
        from localnet.chain.state_file import dump_state

        return dump_state(self.chain)

    def load_state(self, packed: bytes, limit: int = MAX_UNPACKED_BYTES) -> Tipset:
        """Replace the state by a dumped one, in a new block. Raises InvalidInput.

        Under Ethereum's rules a state dumped by anvil replaces the whole chain. `limit` is the maximum decompressed
        size in bytes.
        """
        from localnet.chain.state_file import load_state

        before = self.chain.rewritten
        head = load_state(self.chain, octets(packed, "a state"), limit)
        if self.chain.rewritten != before:  # it replaced the chain
            self.forget_snapshots()
            self.mempool.clear()
        return head


def _signed_for(candidate: Candidate) -> int | None:
    """Return the chain ID that a transaction was signed for; None if it is valid for any."""
    sent = candidate.transaction
    return None if sent is None else sent.transaction.chain_id
