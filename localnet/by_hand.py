"""What a development network's owner does without a transaction: time, fees, states, whole states.

The changes themselves are `localnet.controls`; here they become the head's.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypervisor.types import TokenAmount
from localnet import controls
from localnet.addresses import Target, filecoin_address
from localnet.genesis import LARGEST_BALANCE
from localnet.given import octets, whole_number
from localnet.producing import Producing
from localnet.records import Tipset


class ByHand(Producing):
    """A network's chain that can be changed by hand."""

    # --- time -------------------------------------------------------------------------------------------------

    def increase_time(self, seconds: int) -> int:
        """Let the clock run ahead by so much more; the whole offset. Epochs are not touched: see `mine`.

        In seconds. Raises InvalidInput for a time that runs backwards or behind the year 9999.
        """
        return self._clock.increase(seconds)

    def set_next_timestamp(self, timestamp: int) -> None:
        """The next block's time, in Unix seconds; the clock goes on from there. Raises InvalidInput."""
        self._clock.set_next(timestamp, self.head.timestamp)

    def set_time(self, timestamp: int) -> int:
        """Let it be this time now, in Unix seconds; by how much the clock went ahead. Raises InvalidInput."""
        return self._clock.set(timestamp)

    def set_block_interval(self, seconds: int | None) -> None:
        """Let each block be so many seconds after its parent; with None at the clock's time. Raises InvalidInput."""
        self._clock.set_interval(seconds)

    # --- state ------------------------------------------------------------------------------------------------

    def set_balance(self, target: Target, amount: int) -> None:
        """Give an account or actor another balance, in attoFIL, without a transaction. Raises InvalidInput."""
        controls.set_balance(self.machine, filecoin_address(target), TokenAmount(amount))
        self.chain.keep_changes()

    def set_nonce(self, target: Target, nonce: int) -> None:
        """Give an account or a contract another nonce, without a transaction. Raises InvalidInput."""
        controls.set_nonce(self.machine, filecoin_address(target), nonce)
        self.chain.keep_changes()

    def set_code(self, target: Target, code: bytes) -> None:
        """Give an Ethereum address other runtime code, without a transaction. Raises InvalidInput for native actors."""
        controls.set_code(self.machine, filecoin_address(target), code)
        self.chain.keep_changes()

    def set_storage(self, target: Target, slots: Mapping[int, int]) -> None:
        """Give a contract's slots other words, without a transaction. Raises InvalidInput for anybody else."""
        controls.set_storage(self.machine, filecoin_address(target), slots)
        self.chain.keep_changes()

    def grant_datacap(self, target: Target, size: int) -> None:
        """Make an account a verified client with DataCap for so many bytes more, at least 256, without a transaction.

        Raises InvalidInput where the registry refuses.
        """
        from localnet.datacap import grant

        grant(self.chain, filecoin_address(target), size)

    def set_next_base_fee(self, base_fee: int) -> None:
        """The base fee of the next block, in attoFIL per gas; it goes on from there. Raises InvalidInput."""
        whole_number(base_fee, "a base fee", 0, LARGEST_BALANCE, unit="attoFIL")
        self.chain.set_next_base_fee(TokenAmount(base_fee))

    def dump_state(self) -> bytes:
        """The state as one file, for `load_state` of a network with the same bundle."""
        from localnet.state_file import dump_state

        return dump_state(self.chain)

    def load_state(self, packed: bytes) -> Tipset:
        """Take another network's state in place of this one's, in a new block. Raises InvalidInput."""
        from localnet.state_file import load_state

        return load_state(self.chain, octets(packed, "a state"))
