"""Stateful tests on a network, and strategies for a contract's arguments."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar
from unittest import SkipTest

import pytest
from eth_abi.abi import decode, encode, is_encodable
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import NoSuchExample
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bridge.abi.abi import AbiMismatch, ContractInterface
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.testing import NetworkStateMachine, arguments, calls
from tests.localnet.conftest import ARTIFACTS

FEW = settings(max_examples=5, stateful_step_count=4)


def entry(*types: str, name: str = "f", **more: Any) -> dict[str, Any]:
    inputs = [{"name": f"p{index}", "type": kind} for index, kind in enumerate(types)]
    return {"type": "function", "name": name, "inputs": inputs, "outputs": [], **more}


def extreme(kind: str, wanted: Any) -> bool:
    """Return True if the strategy of a type can produce a value."""
    try:
        found = find(
            arguments(entry(kind)),
            lambda drawn: bool(drawn[0] == wanted),
            settings=settings(
                max_examples=2000, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
            ),
        )
    except NoSuchExample:
        return False
    return bool(found[0] == wanted)


# --- arguments --------------------------------------------------------------------------------------------------------

TYPES = [
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in range(8, 257, 8)),
    *(f"bytes{length}" for length in range(1, 33)),
    *("bool", "address", "string", "bytes", "function", "fixed128x18", "ufixed8x80", "fixed256x1"),
    *("uint8[]", "uint8[3]", "bytes[][2]", "string[2][]", "bool[0]" if is_encodable("bool[0]", []) else "bool[1]"),
    *("uint256[1000]", "address[65][2]"),
]


@pytest.mark.parametrize("kind", TYPES)
def test_values_are_encoded_and_decoded_by_another_library(kind: str) -> None:
    @settings(max_examples=10)
    @given(arguments(entry(kind)))
    def check(drawn: tuple[Any, ...]) -> None:
        (value,) = drawn
        assert is_encodable("bytes24" if kind == "function" else kind, value)
        (back,) = decode([kind], encode([kind], [value]))
        assert listed(back) == value

    check()


def listed(value: Any) -> Any:
    """Return a decoded value with lists for eth_abi's tuples, which it decodes arrays to."""
    return [listed(each) for each in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("int8", -128),
        ("int8", 127),
        ("uint256", 2**256 - 1),
        ("int256", -(2**255)),
        ("int256", 2**255 - 1),
        ("fixed8x1", Decimal("12.7")),
        ("bytes2", b"\0\0"),
        ("bool", True),
        ("string", ""),
        ("bytes", b"\0"),
        ("uint8[]", []),
        ("uint8[]", [0, 0]),
        ("uint8[2]", [0, 0]),
        ("address", "0x" + 40 * "0"),
    ],
)
def test_bounds_and_empty_values_are_drawn(kind: str, value: Any) -> None:
    assert extreme(kind, value)


@pytest.mark.slow
def test_no_value_exceeds_its_type() -> None:
    assert not extreme("uint8", 256)
    assert not extreme("int8", 128)
    assert not extreme("int8", -129)


POINT = [{"name": "x", "type": "int16"}, {"name": "tags", "type": "string[]"}]


@pytest.mark.slow
@given(
    arguments(
        {
            "type": "constructor",
            "inputs": [
                {"name": "one", "type": "tuple", "components": POINT},
                {"name": "many", "type": "tuple[2][]", "components": POINT},
            ],
        }
    )
)
def test_tuples_have_their_components(drawn: tuple[Any, ...]) -> None:
    one, many = drawn
    for x, tags in [one, *(point for pair in many for point in pair)]:
        assert -(2**15) <= x < 2**15
        assert all(isinstance(tag, str) for tag in tags)
    assert all(len(pair) == 2 for pair in many)
    assert encode(["(int16,string[])", "(int16,string[])[2][]"], [one, many])


@settings(max_examples=20)
@given(st.data())
def test_strategies_are_replaced_by_name_and_type(data: st.DataObject) -> None:
    two = {**entry("uint8", "address[2]"), "name": "g"}
    drawn = data.draw(arguments(two, names={"p0": st.just(7)}, types={"address": st.just("0x" + 40 * "a")}))
    assert drawn == (7, ["0x" + 40 * "a"] * 2)
    whole = data.draw(arguments(two, types={"address[2]": st.just("both"), "uint8": st.just(8)}))
    assert whole == (8, "both")


@pytest.mark.slow
def test_long_array_has_items_that_differ() -> None:
    drawn = find(arguments(entry("uint8[1000]")), lambda values: values[0][0] != values[0][999])
    assert len(drawn[0]) == 1000
    assert len(set(drawn[0])) == 2  # shrunk


@pytest.mark.parametrize(
    "broken",
    [
        entry("uint7"),
        entry("uint264"),
        entry("bytes33"),
        entry("tuple[", "uint8"),
        entry("uint8" + 400 * "[1]"),
        entry(""),
        {"type": "fallback"},
        {"type": "function", "name": "f", "inputs": 7},
        {"type": "function", "name": "f", "inputs": [{"name": "a", "type": "tuple", "components": "x"}]},
    ],
    ids=lambda broken: str(broken)[:60],
)
def test_an_unknown_type_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is not an ABI entry with valid types"):
        arguments(broken)


# --- calls ------------------------------------------------------------------------------------------------------------

INTERFACE = ContractInterface(
    [
        entry("uint8", name="set", stateMutability="nonpayable"),
        entry("uint16", "bool", name="set", stateMutability="payable"),
        entry(name="get", stateMutability="view"),
        entry(name="sum", stateMutability="pure"),
    ]
)


def drawn_functions(strategy: st.SearchStrategy[tuple[Any, ...]]) -> set[str]:
    seen: set[str] = set()

    @settings(max_examples=50)
    @given(strategy)
    def draw(call: tuple[Any, ...]) -> None:
        seen.add(call[0])
        INTERFACE.encode_call(*call)

    draw()
    return seen


def test_calls_are_those_that_change_state() -> None:
    assert drawn_functions(calls(INTERFACE)) == {"set(uint8)", "set(uint16,bool)"}


def test_calls_of_chosen_functions() -> None:
    assert drawn_functions(calls(INTERFACE, "get", "set(uint8)")) == {"get()", "set(uint8)"}
    with pytest.raises(AbiMismatch, match="no function 'gone'"):
        calls(INTERFACE, "gone")
    with pytest.raises(InvalidInput, match="no function that changes state"):
        calls(ContractInterface([entry(stateMutability="view")]))


# --- the state machine ------------------------------------------------------------------------------------------------

COUNTER = ARTIFACTS / "Counter.json"


class Start(NetworkStateMachine):
    """Records the state and times that each example sees."""

    seen: list[tuple[int, int, int]]

    def __init__(self, network: Network | None = None) -> None:
        super().__init__(network)
        self.seen.append((self.network.block_number, self.network.balance(b"\x99" * 20), self.network.head.timestamp))

    @rule(amount=st.integers(1, 5))
    def pay(self, amount: int) -> None:
        parent = self.network.head.timestamp
        self.network.send(b"\x99" * 20, amount)
        assert self.network.head.timestamp == parent + 1

    @rule()
    def settings_of_the_network(self) -> None:
        self.network.automine = False
        self.network.automine = True


@pytest.fixture
def seen() -> Iterator[list[tuple[int, int, int]]]:
    Start.seen = []
    yield Start.seen
    del Start.seen


@pytest.mark.slow
def test_each_example_starts_from_the_same_state(network: Network, seen: list[tuple[int, int, int]]) -> None:
    network.send(b"\x99" * 20, 77)
    before = network.head
    Start.run_as_test(network, settings=FEW)
    assert len(seen) == 5
    assert set(seen) == {(before.height, 77, before.timestamp)}
    assert network.head is before


class Ageing(NetworkStateMachine):
    """Rules that change the clock, whose effect must not reach the next example."""

    times: list[int]

    @rule()
    def wait(self) -> None:
        before = self.network.head.timestamp
        self.network.increase_time(1000)
        self.network.mine()
        assert self.network.head.timestamp >= before + 1000

    @initialize()
    def first_block(self) -> None:
        self.network.mine()
        self.times.append(self.network.head.timestamp)


@pytest.mark.slow
def test_time_is_the_same_in_each_example_and_runs_again_after_it() -> None:
    wall = [1_800_000_000.0]

    def clock() -> float:
        wall[0] += 10
        return wall[0]

    with Network(clock=clock) as network:
        network.increase_time(50)
        network.mine()
        before, Ageing.times = network.head.timestamp, []
        Ageing.run_as_test(network, settings=FEW)
        assert set(Ageing.times) == {before + 1}
        wall[0] += 1000
        network.mine()
        assert network.head.timestamp > before + 1000


def test_settings_of_the_network_are_those_before_the_example(network: Network) -> None:
    class Changing(NetworkStateMachine):
        seen: ClassVar[list[tuple[bool, int | None]]] = []

        def __init__(self, network: Network) -> None:
            super().__init__(network)
            self.seen.append((network.automine, network.block_interval))

        @rule()
        def change(self) -> None:
            self.network.automine = True
            self.network.set_block_interval(None)

    network.automine = False
    network.set_block_interval(7)
    network.stop_clock()
    Changing.run_as_test(network, settings=FEW)
    assert set(Changing.seen) == {(False, 7)}
    assert (network.automine, network.block_interval, network.is_clock_stopped) == (False, 7, True)


@pytest.mark.slow
def test_constructor_without_super_is_named(network: Network) -> None:
    class Unready(NetworkStateMachine):
        def __init__(self, network: Network) -> None:
            RuleBasedStateMachine.__init__(self)

        @rule()
        def wait(self) -> None:
            """Do nothing."""

    with pytest.raises(InvalidInput, match=r"Unready.__init__ does not call super\(\).__init__\(network\)"):
        Unready.run_as_test(network, settings=FEW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "types", "text"),
    [
        ({"amuont": st.just(1)}, {}, "there is no argument 'amuont': expected one of amount, flags, kind, order, to"),
        ({}, {"uint255": st.just(1)}, r"no argument of type 'uint255': expected one of address, bool, bool\[2\], "),
    ],
)
def test_names_and_types_that_no_argument_has_are_rejected(
    names: dict[str, Any], types: dict[str, Any], text: str
) -> None:
    parts = [{"name": "kind", "type": "uint8"}, {"name": "to", "type": "address"}]
    inputs = [
        {"name": "amount", "type": "uint256"}, {"name": "flags", "type": "bool[2][]"},
        {"name": "order", "type": "tuple", "components": parts},
    ]  # fmt: skip
    function = {"type": "function", "name": "f", "inputs": inputs, "outputs": [], "stateMutability": "nonpayable"}
    every = {"bool": st.just(True), "bool[2]": st.just([True, False]), "tuple": st.just((1, "0x" + "00" * 20))}
    assert find(arguments(function, names={"kind": st.just(1)}, types=every), lambda _: True)
    with pytest.raises(InvalidInput, match=text):
        arguments(function, names=names, types=types)
    with pytest.raises(InvalidInput, match=text):
        calls(ContractInterface([function]), names=names, types=types)


def test_settings_are_reset_after_an_example(network: Network) -> None:
    class Slow(NetworkStateMachine):
        @rule()
        def stop_mining(self) -> None:
            self.network.automine = False
            self.network.set_block_interval(60)

    Slow.run_as_test(network, settings=FEW)
    assert network.automine
    before = network.head.timestamp
    network.increase_time(1_000_000)
    network.mine()
    assert network.head.timestamp > before + 60


@pytest.mark.slow
def test_reverting_to_before_the_example_is_an_error(network: Network) -> None:
    class Lost(NetworkStateMachine):
        def __init__(self, network: Network) -> None:
            self.earlier = network.snapshot()
            super().__init__(network)

        @rule()
        def go_back(self) -> None:
            self.network.revert(self.earlier)

    with pytest.raises(InvalidInput, match="before the example's start"):
        Lost.run_as_test(network, settings=FEW)


@pytest.mark.slow
def test_a_test_case_shares_one_network(seen: list[tuple[int, int, int]]) -> None:
    Start.TestCase.settings = FEW
    Start.TestCase("runTest").debug()
    assert (len(seen), len(set(seen))) == (5, 1)
    first = Start()
    second = Start()
    assert first.network is second.network
    second.teardown()
    first.teardown()


def test_settings_of_the_decorator_are_used(network: Network, seen: list[tuple[int, int, int]]) -> None:
    @settings(max_examples=2, stateful_step_count=1)
    class Brief(Start):
        pass

    Brief.run_as_test(network)
    assert len(seen) == 2


@pytest.mark.slow
def test_decorator_seed_and_database_are_those_of_the_class(network: Network) -> None:
    drawn: list[int] = []

    class Drawing(NetworkStateMachine):
        @rule(number=st.integers())
        def draw(self, number: int) -> None:
            drawn.append(number)

    class Failing(NetworkStateMachine):
        @rule(number=st.integers(0, 2**60))
        def draw(self, number: int) -> None:
            drawn.append(number)
            assert number < 2**40

    free = settings(FEW, derandomize=False)
    for first, second in [(1, 1), (1, 2)]:
        runs = []
        for number in (first, second):
            drawn.clear()
            seed(number)(Drawing).run_as_test(network, settings=free)
            runs.append(tuple(drawn))
        assert (runs[0] == runs[1]) == (first == second)
    stored = settings(free, database=InMemoryExampleDatabase(), max_examples=100)
    with pytest.raises(AssertionError):
        Failing.run_as_test(network, settings=stored)
    drawn.clear()
    only = settings(stored, phases=[Phase.reuse])
    with pytest.raises(SkipTest, match="told to run no test cases"):  # the example is of another class
        Drawing.run_as_test(network, settings=only)
    assert drawn == []
    with pytest.raises(AssertionError):
        Failing.run_as_test(network, settings=only)


# --- packaging --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_hypothesis_the_extra_is_named() -> None:
    program = "import sys; sys.modules['hypothesis'] = None\nfrom localnet.testing import reverts, arguments"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: stateful tests need Hypothesis: install fvm-hypervisor[hypothesis]"
    )


@pytest.mark.slow
def test_other_names_do_not_load_hypothesis() -> None:
    program = "import sys\nfrom localnet.testing import reverts\nassert 'hypothesis' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
