"""Stateful tests with Hypothesis: rules on a network, and strategies for a contract's arguments by its ABI.

    class Vault(NetworkStateMachine):
        @rule(arguments=arguments(ARTIFACT.interface.function("deposit")))
        def deposit(self, arguments):
            self.vault.send("deposit", *arguments)

Hypothesis is the extra `[hypothesis]` of this package. Types and their bounds are those of the Solidity ABI
specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache, partial, update_wrapper
from typing import Any, Final

from bridge.abi.abi import ContractInterface, signature
from hypervisor.errors import InvalidInput
from localnet.contracts.argument_texts import readable_interface
from localnet.network import Network

try:
    from hypothesis import settings as Settings  # noqa: N812  # None without hypothesis
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "stateful tests need Hypothesis: install fvm-hypervisor[hypothesis]", name=error.name
    ) from None

Strategies = Mapping[str, st.SearchStrategy[Any]]
_Values = st.SearchStrategy[tuple[Any, ...]]

_ARRAY: Final = re.compile(r"(.*)\[(\d*)\]", re.DOTALL)
_FIXED: Final = re.compile(r"(u?)fixed(\d+)x(\d+)")
_STATE_CHANGING: Final = ("nonpayable", "payable")
_MAX_DRAWN_ITEMS: Final = 64
"""Maximum length of a fixed-size array whose items are all drawn: Hypothesis limits the size of an example."""
_MAX_DISTINCT_ITEMS: Final = 8
"""Maximum number of items that differ from the others in a longer one."""


class NetworkStateMachine(RuleBasedStateMachine):
    """A rule-based state machine over a network; each example starts from the network's state when the first began.

    `Vault.run_as_test(network, vault)` passes the network and deployed contracts to the constructor of a subclass.
    Without a network, as in `Vault.TestCase`, all state machines of the process share one.

    The chain's clock is stopped during an example: timestamps are the same when Hypothesis repeats it.
    """

    def __init__(self, network: Network | None = None) -> None:
        super().__init__()
        self.network = _shared_network() if network is None else network
        self._snapshot = self.network.snapshot()
        self._settings = self.network.automine, self.network.block_interval, self.network.is_clock_stopped
        self.network.stop_clock()

    @classmethod
    def run_as_test(cls, *arguments: Any, settings: Settings | None = None) -> None:
        """Run the state machine as a test. `arguments` are those of its constructor, the network first.

        `settings` are Hypothesis' settings, by default those of `TestCase` and of the decorator `@settings`.
        """
        start: Any = update_wrapper(partial(cls, *arguments), cls)  # with the seed and the key of the database
        run_state_machine_as_test(start, settings=settings or cls.TestCase.settings)

    def teardown(self) -> None:
        """Revert the example's changes. Raises InvalidInput if a rule reverted the network to before its start."""
        if not hasattr(self, "network"):
            raise InvalidInput(f"{type(self).__name__}.__init__ does not call super().__init__(network)")
        automine, interval, is_stopped = self._settings
        self.network.start_clock()
        self.network.automine = automine
        self.network.set_block_interval(interval)
        if not self.network.revert(self._snapshot):
            raise InvalidInput("a rule reverted the network to before the example's start; revert to later snapshots")
        if is_stopped:
            self.network.stop_clock()


@cache
def _shared_network() -> Network:
    return Network()


def arguments(
    abi_entry: Mapping[str, Any], *, names: Strategies | None = None, types: Strategies | None = None
) -> _Values:
    """Return a strategy for the arguments of a function, constructor, event or error, given its ABI entry.

    Values cover their types: `uint8` is 0 to 255, an array has any length, a tuple is a tuple of its components.
    Addresses are hex text. `names` replaces the strategy of an argument or tuple component by its name, `types` that
    of a type such as `address`. Raises InvalidInput for an entry with an unknown type, and for a name or type that no
    argument has.
    """
    made = _arguments(abi_entry, names or {}, types or {})
    _check_keys([abi_entry], names or {}, types or {})
    return made


def _arguments(abi_entry: Mapping[str, Any], names: Strategies, types: Strategies) -> _Values:
    readable = readable_interface([abi_entry]).abi  # without the entry if it is malformed
    try:
        return _tuple(readable[0]["inputs"], names, types)
    except (IndexError, ValueError):
        raise InvalidInput(f"{abi_entry!r:.200} is not an ABI entry with valid types") from None


def calls(
    interface: ContractInterface, *functions: str, names: Strategies | None = None, types: Strategies | None = None
) -> _Values:
    """Return a strategy for calls, as tuples of a function's signature and its arguments: `contract.send(*call)`.

    `functions` are names or signatures; by default all functions that are neither `view` nor `pure`. `names` and
    `types` are those of `arguments`. Raises AbiMismatch for an unknown function, and InvalidInput if there are none.
    """
    entries = [interface.function(name) for name in functions] or [
        entry
        for entry in interface.abi
        if entry["type"] == "function" and entry.get("stateMutability", "nonpayable") in _STATE_CHANGING
    ]
    if not entries:
        raise InvalidInput("the contract has no function that changes state")
    _check_keys(entries, names or {}, types or {})
    return st.one_of([_call(entry, names or {}, types or {}) for entry in entries])


def _check_keys(entries: Iterable[Mapping[str, Any]], names: Strategies, types: Strategies) -> None:
    """Raise InvalidInput for names and types that no argument or tuple component has."""
    items = list(_items(item for entry in entries for item in entry.get("inputs", ())))
    known_types = {str(item.get("type")) for item in items}
    known_types |= {kind[: place.start()] for kind in known_types for place in re.finditer(r"\[", kind)}
    for given, known, what in (
        (names, {str(item.get("name")) for item in items}, "argument"),
        (types, known_types, "argument of type"),
    ):
        unknown = [key for key in given if key not in known]
        if unknown:
            listed = ", ".join(sorted(filter(None, known))) or "none"
            raise InvalidInput(f"there is no {what} '{unknown[0]}': expected one of {listed}")


def _items(items: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield parameters and the components of tuples."""
    for item in items:
        yield item
        yield from _items(item.get("components", ()))


def _call(entry: Mapping[str, Any], names: Strategies, types: Strategies) -> _Values:
    function = signature(entry)
    return _arguments(entry, names, types).map(lambda values: (function, *values))


def _tuple(items: list[Mapping[str, Any]], names: Strategies, types: Strategies) -> _Values:
    return st.tuples(*(_argument(item, names, types) for item in items))


def _argument(item: Mapping[str, Any], names: Strategies, types: Strategies) -> st.SearchStrategy[Any]:
    chosen = names.get(item["name"])
    return _value(item["type"], item, names, types) if chosen is None else chosen


def _value(kind: str, item: Mapping[str, Any], names: Strategies, types: Strategies) -> st.SearchStrategy[Any]:
    """Return the strategy of a type; `item` has the components of its tuples."""
    chosen = types.get(kind)
    if chosen is not None:
        return chosen
    array = _ARRAY.fullmatch(kind)
    if array:
        items = _value(array[1], item, names, types)
        return _fixed_array(items, int(array[2])) if array[2] else st.lists(items)
    if kind == "tuple":
        return _tuple(item["components"], names, types)
    return _elementary(kind)


def _fixed_array(items: st.SearchStrategy[Any], length: int) -> st.SearchStrategy[list[Any]]:
    """Return a strategy for `length` items; in a long array all but a few are equal."""
    if length <= _MAX_DRAWN_ITEMS:
        return st.lists(items, min_size=length, max_size=length)
    others = st.dictionaries(st.integers(0, length - 1), items, max_size=_MAX_DISTINCT_ITEMS)
    return st.tuples(items, others).map(lambda drawn: [drawn[1].get(index, drawn[0]) for index in range(length)])


def _elementary(kind: str) -> st.SearchStrategy[Any]:
    match kind:
        case "bool":
            return st.booleans()
        case "string":
            return st.text()
        case "bytes":
            return st.binary()
        case "address":
            return _bytes(20).map(lambda value: f"0x{value.hex()}")
        case "function":  # an address and a selector
            return _bytes(24)
    fixed = _FIXED.fullmatch(kind)
    if fixed is not None:
        return _integers(fixed[1] == "", int(fixed[2])).map(lambda value: Decimal(f"{value}e-{fixed[3]}"))
    if kind.startswith("bytes"):
        return _bytes(int(kind.removeprefix("bytes")))
    return _integers(kind.startswith("int"), int(kind.lstrip("uint")))


def _integers(signed: bool, bits: int) -> st.SearchStrategy[int]:
    half = 1 << bits - 1
    return st.integers(-half, half - 1) if signed else st.integers(0, 2 * half - 1)


def _bytes(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)
