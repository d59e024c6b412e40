"""Randomness, tipset CIDs and the circulating supply: lookback prices, and invalid epochs.

Errors and charges from network version 21 on are those of the reference in tests/golden/surroundings.jsonl.gz.
"""

from base64 import b64decode
from dataclasses import dataclass, field

import pytest

from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, OutOfGas
from hypervisor.exit_codes import ErrorNumber
from hypervisor.externs import DevelopmentExterns, ExternError
from hypervisor.kernel import Kernel
from hypervisor.kernel.chain import draw
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from store.cid import Cid, cid_of
from tests.hypervisor.world import GAS, World, refused, used

NOW = 1_000


@dataclass
class Chain:
    """A chain with data for every past epoch that counts requests."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._answer("chain", epoch, b"c" * 32)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._answer("beacon", epoch, b"b" * 32)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        self._answer("tipset", epoch, b"")
        return cid_of(b"tipset %d" % epoch)

    def state_root(self, epoch: ChainEpoch) -> Cid:
        raise ExternError(f"no state of epoch {epoch}")

    def _answer(self, kind: str, epoch: int, answer: bytes) -> bytes:
        self.asked.append((kind, epoch))
        if epoch < 0 or epoch == 404:
            raise ExternError(f"no {kind} of epoch {epoch}")
        return answer


def kernel_of(network: int = 28, limit: int = 10**18) -> tuple[Kernel, Chain]:
    chain = Chain()
    return World(network, externs=chain).kernel(limit=limit), chain


@pytest.mark.parametrize("epoch", [NOW + 1, 1 << 40])
def test_future_epoch_randomness_runs_out_of_gas_before_lookup(epoch: int) -> None:
    kernel, chain = kernel_of(limit=(1 << 63) - 1)
    for source in (kernel.random.chain, kernel.random.beacon):
        with pytest.raises(OutOfGas):
            source(ChainEpoch(epoch))
    assert kernel.gas.available == 0
    assert not chain.asked


def test_a_draw_binds_tag_epoch_and_entropy_as_on_the_network() -> None:
    drawn = draw(5, b64decode("GOobxkrhS1hiFA1EYUKZM3xsyVfy5Xy3bQ0gLPnecYs="), 2_797_727, b64decode("RACZyzQ="))
    assert drawn == b64decode("3MCqcLHKZ+pil4MqTS9wjsd+yPvTuTrq8PkGjEo3tYQ=")


@pytest.mark.parametrize("entropy", [b"", b"1234", bytes(100)])
def test_version_18_draws_in_host_and_charges_for_entropy(entropy: bytes) -> None:
    kernel, _ = kernel_of(18)
    price = (21_000 + 10 * (len(entropy) + 48)) * GAS
    assert used(kernel, lambda: kernel.random.draw_chain_randomness(5, ChainEpoch(7), entropy)) == price
    assert used(kernel, lambda: kernel.random.draw_beacon_randomness(5, ChainEpoch(7), entropy)) == price
    assert kernel.random.draw_chain_randomness(5, ChainEpoch(7), entropy) == draw(5, b"c" * 32, 7, entropy)
    assert kernel.random.draw_beacon_randomness(5, ChainEpoch(7), entropy) == draw(5, b"b" * 32, 7, entropy)


def test_version_18_refuses_randomness_of_unknown_epoch() -> None:
    kernel, _ = kernel_of(18)
    draw_chain, draw_beacon = kernel.random.draw_chain_randomness, kernel.random.draw_beacon_randomness
    unknown, price = ChainEpoch(404), (21_000 + 480) * GAS
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: draw_chain(5, unknown, b"")) == price
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: draw_beacon(5, unknown, b"")) == price


def test_host_draws_no_randomness_since_version_21() -> None:
    kernel, chain = kernel_of()
    assert (
        refused(
            ErrorNumber.ILLEGAL_OPERATION, kernel, lambda: kernel.random.draw_chain_randomness(5, ChainEpoch(7), b"")
        )
        == 0
    )
    assert not chain.asked


@pytest.mark.parametrize("network", [18, 28])
@pytest.mark.parametrize("epoch", [-1, NOW, NOW + 1, 1 << 62])
def test_only_past_epochs_have_a_tipset(network: int, epoch: int) -> None:
    kernel, chain = kernel_of(network)
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.network.tipset_cid(ChainEpoch(epoch))) == 0
    assert not chain.asked


def test_a_past_tipset_that_the_chain_does_not_know_is_fatal() -> None:
    kernel, _ = kernel_of()
    with pytest.raises(Fatal, match="404"):
        kernel.network.tipset_cid(ChainEpoch(404))


@pytest.mark.parametrize(("back", "gas"), [(1, 50_000), (2, 215_000), (899, 215_000)])
def test_version_18_has_two_prices_for_tipsets(back: int, gas: int) -> None:
    kernel, _ = kernel_of(18)
    assert used(kernel, lambda: kernel.network.tipset_cid(ChainEpoch(NOW - back))) == gas * GAS


@pytest.mark.parametrize("back", [900, 901, 1_000])
def test_version_18_looks_back_less_than_900_epochs(back: int) -> None:
    kernel, _ = kernel_of(18)
    epoch = ChainEpoch(NOW - back)
    assert refused(ErrorNumber.ILLEGAL_ARGUMENT, kernel, lambda: kernel.network.tipset_cid(epoch)) == 0


def test_the_circulating_supply_is_the_contexts_and_free() -> None:
    context = MachineContext(network_version(28), circulating_supply=TokenAmount(7 * 10**18))
    kernel = World(context=context).kernel()
    assert used(kernel, lambda: kernel.network.circulating_supply()) == 0
    assert kernel.network.circulating_supply() == 7 * 10**18


def test_development_externs_vary_by_epoch_and_source() -> None:
    externs = DevelopmentExterns()
    results = [
        source(ChainEpoch(epoch))
        for source in (externs.chain_randomness, externs.beacon_randomness)
        for epoch in (-1, 0, 1, 1 << 62)
    ]
    assert len(set(results)) == 8
    assert {len(result) for result in results} == {32}
    assert externs.chain_randomness(ChainEpoch(1)) == results[2]
    assert externs.tipset_cid(ChainEpoch(1)) != externs.tipset_cid(ChainEpoch(2))
