"""Our built-in actors compared with the official ones: gas and time of each method, and the size of the bundle.

Each method's example (`tests.hypervisor.builtin_actors.examples`) is called on two machines with the same state,
one with the official code and one with ours; nothing is committed. `make equality` tests that the results are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

from bench.rows import Row
from hypervisor import Address, Hypervisor, Message
from hypervisor.builtin_actors import loader
from hypervisor.types import Gas, TokenAmount
from tests.conftest import data_file, fvm_data
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.examples import EXAMPLES, Example
from tests.hypervisor.builtin_actors.people import GENESIS
from tests.hypervisor.builtin_actors.twins import Twins

DEVNET = "bundles/v18-devnet.car"
GAS_LIMIT = Gas(2 * 10**9)
ROUNDS, CALLS, TAKES = 8, 8, 10
SHOWN = 5
"""Number of methods shown below a row: those with the highest ratios."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    gas, time, size = "gas of a method, the worst", "time of a method, the worst", "bytes of the bundle"
    if fvm_data() is None:
        yield from (Row(name, None, "no official bundle: set FVM_DATA") for name in (gas, time, size))
        return
    twins = Twins.at_genesis(GENESIS)
    stage.build(twins)
    pairs = {f"{example.actor}.{example.method}": (twins, example) for example in EXAMPLES}
    yield _worst(gas, {name: _gas(*pair) for name, pair in pairs.items()})
    yield _worst(time, {name: _time(*pair) for name, pair in pairs.items()})
    own, official = len(loader.bundle_bytes()), data_file(DEVNET).stat().st_size
    yield Row(size, own / official, f"{own:,} bytes, the official devnet's {official:,}")


def _worst(name: str, quotients: dict[str, float]) -> Row:
    """Return a row with the highest ratio of all methods, and their median."""
    worst = sorted(quotients, key=lambda method: -quotients[method])
    middle = sorted(quotients.values())[len(quotients) // 2]
    note = f"{len(quotients)} methods, median {middle:.2f}, the worst is {worst[0]}"
    return Row(name, quotients[worst[0]], note, {method: quotients[method] for method in worst[:SHOWN]})


def _message(twins: Twins, example: Example) -> Message:
    params = example.encoded(twins.official.manifest)
    sender, to = Address.id(example.by), Address.id(example.to)
    value = TokenAmount(example.value)
    return Message(to, sender, 0, value, example.numbers[0], params, gas_limit=GAS_LIMIT)


def _gas(twins: Twins, example: Example) -> float:
    """Return our gas divided by the official actor's."""
    message = _message(twins, example)
    return twins.own.call(message).gas_used / twins.official.call(message).gas_used


def _time(twins: Twins, example: Example) -> float:
    """Return our processor time divided by the official actor's: the best rounds of each, measured alternately.

    Slow results are measured again, for longer: other programs can only add to a time, and more so to short ones.
    """
    message = _message(twins, example)
    official = own = float("inf")
    for _ in range(TAKES):
        for _ in range(ROUNDS):
            official = min(official, _seconds(twins.official, message))
            own = min(own, _seconds(twins.own, message))
        if own <= official:
            break
    return own / official


def _seconds(machine: Hypervisor, message: Message) -> float:
    start = process_time()
    for _ in range(CALLS):
        machine.call(message)
    return process_time() - start
