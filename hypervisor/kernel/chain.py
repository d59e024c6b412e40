"""Chain data for actors: randomness, tipset CIDs, the circulating supply.

Source: ref-fvm kernel/default.rs; FIP-0075 for lookback prices.
"""

from collections.abc import Callable

from hypervisor.context import ExternError, draw
from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.types import ChainEpoch, TokenAmount
from store.cid import Cid

_U64_MASK = (1 << 64) - 1
_MAX_I64 = (1 << 63) - 1


class RandomnessOps:
    """Randomness of the ticket chain and of the beacon. Digests have 32 bytes."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def chain(self, epoch: ChainEpoch) -> bytes:
        """Return the digest of the ticket chain.

        Errors: ILLEGAL_ARGUMENT if it is not available; OutOfGas for a future epoch.
        """
        self._charge_lookback(epoch)
        return self._read(self._calls.machine.externs.chain_randomness, epoch)

    def beacon(self, epoch: ChainEpoch) -> bytes:
        """Return the digest of the beacon. Errors as for `chain`."""
        self._charge_lookback(epoch)
        return self._read(self._calls.machine.externs.beacon_randomness, epoch)

    def draw_chain_randomness(self, tag: int, epoch: ChainEpoch, entropy: bytes) -> bytes:
        """Return ticket randomness in machine version 3, where the host hashes in tag and entropy."""
        self._charge_entropy(entropy)
        return draw(tag, self._read(self._calls.machine.externs.chain_randomness, epoch), epoch, entropy)

    def draw_beacon_randomness(self, tag: int, epoch: ChainEpoch, entropy: bytes) -> bytes:
        """Return beacon randomness in machine version 3."""
        self._charge_entropy(entropy)
        return draw(tag, self._read(self._calls.machine.externs.beacon_randomness, epoch), epoch, entropy)

    def _charge_lookback(self, epoch: ChainEpoch) -> None:
        lookback = self._calls.machine.context.epoch - epoch
        if lookback > _MAX_I64:
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT, f"epoch {epoch} is out of range: the lookback exceeds 64 bits"
            )
        # The network casts the difference to unsigned, so the price of a future epoch exceeds every gas limit.
        cost = self._calls.prices.lookback.of(lookback & _U64_MASK)
        self._calls.gas.charge("OnGetRandomness", cost, cost)

    def _charge_entropy(self, entropy: bytes) -> None:
        price = self._calls.prices.randomness_entropy
        if price is None:
            raise SyscallError(
                ErrorNumber.ILLEGAL_OPERATION, "the host does not draw randomness at this network version"
            )
        self._calls.gas.charge("OnGetRandomness", price.of(len(entropy)))

    @staticmethod
    def _read(source: Callable[[ChainEpoch], bytes], epoch: ChainEpoch) -> bytes:
        try:
            return source(epoch)
        except ExternError as error:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"no randomness of epoch {epoch}: {error}") from None


class NetworkOps:
    """Chain data outside of the machine's context."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the CID of the tipset at a past epoch. Errors: ILLEGAL_ARGUMENT for other epochs."""
        context, prices = self._calls.machine.context, self._calls.prices
        now, rules = context.epoch, context.network.rules
        # check
        if epoch < 0 or epoch >= now:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"epoch {epoch} is not before the current epoch {now}")
        lookback = now - epoch
        if rules.tipset_lookback is not None and lookback >= rules.tipset_lookback:
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT,
                f"epoch {epoch} exceeds the maximum lookback of {rules.tipset_lookback} epochs",
            )
        # charge
        if prices.tipset_cid_recent is not None and prices.tipset_cid_older is not None:
            cost = prices.tipset_cid_recent if lookback == 1 else prices.tipset_cid_older
        else:
            cost = prices.lookback.of(lookback)
        self._calls.gas.charge("OnTipsetCid", cost, cost)
        # do and return
        try:
            return self._calls.machine.externs.tipset_cid(epoch)
        except ExternError as error:
            raise Fatal(f"no tipset CID of epoch {epoch}: {error}") from error

    def circulating_supply(self) -> TokenAmount:
        """Return the circulating supply in attoFIL, constant within an epoch."""
        supply = self._calls.machine.context.circulating_supply
        return supply() if callable(supply) else supply
