"""Comparison of the Solidity libraries with native calls, and its table.

- Comparison of one case from the same state: through the library, and as the caller's own native call.
- Table of docs/bridge.md: successes and rejections of each function, and whether results are equal.

Exit code, result, every actor's state and the events must be equal. Results are compared as plain values of the types
in the library's ABI.

A column is a library on a bundle with one of the two EVM runtimes. A cell is `equal` if every case of the function has
the result of the native call, `missing` if the actor has no such method, and `library` if the library cannot decode the
return value, also with the official EVM actor.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cbor2 import CBORTag

from bridge.filecoin.parameters import invoke_return
from hypervisor import Address
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.state.state_tree import ActorState
from hypervisor.types import INIT_ACTOR, ActorID, decode_bigint
from store.codec import decode
from tests.conftest import data_file
from tests.hypervisor.builtin_actors.people import ETHEL
from tests.integration.filecoin_solidity.cases import Case, Stage, cases

_BIG, _ADDRESS, _CID, _LABEL = (f"struct CommonTypes.{name}" for name in ("BigInt", "FilAddress", "Cid", "DealLabel"))
UNHANDLED: Final = int(ExitCode.USR_UNHANDLED_MESSAGE)


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a call. `exit_code` is a number or the reason of a revert; `value` is None unless the exit code is 0.

    `answered` is True if the actor returned, even if the library does not pass its return value on.
    """

    exit_code: int | str
    value: Any
    events: tuple[Any, ...]
    actors: Mapping[ActorID, ActorState]
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """Differences found, as sentences, and the library's result, for comparison with other libraries."""

    problems: tuple[str, ...]
    answer: Answer

    @property
    def missing(self) -> bool:
        """True if the actor does not have the method."""
        return self.answer.exit_code == UNHANDLED


def compare_case(stage: Stage, case: Case) -> Compared:
    """Execute a case both ways; the stage is restored afterwards."""
    before, context = stage.machine.snapshot(), stage.machine.context
    try:
        if case.before is not None:
            case.before(stage)
        prepared = stage.machine.snapshot()
        first = _actors(stage)
        library = _through_library(stage, case)
        stage.machine.restore(prepared)
        native = _natively(stage, case)
        problems = (*_differences(case, library, native), *_shortcomings(case, library, native.answered, first))
        return Compared(problems, library)
    finally:
        stage.machine.context = context
        stage.machine.restore(before)


# --- both ways ----------------------------------------------------------------------------------------------------


def _through_library(stage: Stage, case: Case) -> Answer:
    caller = stage.callers[case.by]
    result = stage.call(caller, case.function, _arguments(stage, case))
    outputs = _entries(stage, case, "outputs")
    if result.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        words = caller.interface.decode_revert(invoke_return(result.return_data))
        if words.startswith("ActorError("):  # how @zondax/filecoin-solidity reports what the other library returns
            return Answer(int(words[11:-1]), None, result.events, _actors(stage))
        return Answer(words, None, result.events, _actors(stage))
    assert result.exit_code == ExitCode.OK, result.message
    results = caller.interface.decode_result(caller.function(case.function), invoke_return(result.return_data))
    values = list(results) if len(outputs) > 1 else [results] if outputs else []
    exit_code = ExitCode.OK
    if outputs and _is_exit(outputs[0]):
        exit_code, values, outputs = values[0], values[1:], outputs[1:]
    value = _of_library(outputs[0], values[0]) if values and exit_code == ExitCode.OK else None
    if case.native is not None and value == b"":  # an empty answer is none
        value = None
    return Answer(int(exit_code), value, result.events, _actors(stage))


def _natively(stage: Stage, case: Case) -> Answer:
    if case.native is None:
        return Answer(case.exit_code, _known(stage, case), (), _actors(stage))
    call, caller = case.native, stage.callers[case.by]
    if isinstance(case.exit_code, str):  # the library refuses before it calls
        return Answer(case.exit_code, None, (), _actors(stage))
    result = stage.implicit(caller.id, call.to, call.method, call.params, call.value)
    data = [entry for entry in _entries(stage, case, "outputs") if not _is_exit(entry)]
    value = None
    if result.exit_code == ExitCode.OK and result.return_data and data:
        answer = decode(result.return_data)
        value = _of_actor(data[0], answer[0] if case.wrapped and not _is_tuple_of_one(data[0]) else answer)
    if case.misread and value is not None:
        value = [number if number >= 0 else -1 - number for number in value]
    return Answer(_seen(result), value, result.events, _actors(stage), bool(result.return_data))


def _known(stage: Stage, case: Case) -> Any:
    """Return the expected result of an address precompile, from the state tree."""
    if isinstance(case.exit_code, str):
        return None
    (asked,) = case.arguments
    if case.function == "lookupDelegatedAddress":
        state = stage.machine.state_tree.get_actor(ActorID(asked))
        return state.delegated_address.to_bytes() if state and state.delegated_address else b""
    address = Address.from_bytes(asked[0]) if isinstance(asked, tuple) else Address.delegated(10, asked)
    return stage.machine.state_tree.lookup_id(address)


def _seen(result: ApplyResult) -> int:
    """Return the exit code that the caller sees: -6 for a receiver that does not exist."""
    absent = result.exit_code == ExitCode.SYS_INVALID_RECEIVER
    return -6 if absent else int(result.exit_code)


# --- differences --------------------------------------------------------------------------------------------------


def _differences(case: Case, library: Answer, native: Answer) -> Iterator[str]:
    if isinstance(case.exit_code, str):
        if case.exit_code not in str(library.exit_code):
            yield f"reverts with {library.exit_code!r}, expected {case.exit_code}"
    elif case.exit_code and case.hidden_behind == library.exit_code:
        if native.exit_code != case.exit_code:
            yield f"natively exit {native.exit_code}, documented {case.exit_code}"
    elif not library.exit_code == native.exit_code == case.exit_code:
        yield f"exit {library.exit_code}, natively {native.exit_code}, documented {case.exit_code}"
    mine, other = library.value, native.value
    if case.new_actor and mine and other:
        mine, other = mine[0], other[0]
    if mine != other:
        yield f"answers {mine}, natively {other}"
    if library.events != native.events:
        yield f"events {library.events}, natively {native.events}"
    apart = {
        actor for actor in {*library.actors, *native.actors} if library.actors.get(actor) != native.actors.get(actor)
    }
    if case.new_actor:
        apart.discard(INIT_ACTOR)
    if apart:
        yield f"leaves other states of {', '.join(f'f0{actor}' for actor in sorted(apart))}"


def _shortcomings(case: Case, library: Answer, answered: bool, first: Mapping[ActorID, ActorState]) -> Iterator[str]:
    """Return the reasons for which a case is not conclusive."""
    if library.exit_code == UNHANDLED:
        yield "the actor has no such method (exit 22)"
    effect = library.actors != first
    if case.succeeds and library.value is None and not answered and not effect:
        yield "succeeds without an answer or an effect"
    if not case.succeeds and case.exit_code != ExitCode.OK and effect:
        yield "is refused, and leaves something"
    if case.refused and not set(case.refused) <= set(_codes(library.value)):
        yield f"refuses items with {_codes(library.value)}, documented {case.refused}"


def _codes(value: Any) -> list[int]:
    """Return the exit codes of refused items: the pairs in a batch's second half."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], int) and isinstance(value[1], list):
        return [code for _, code in value[1]]
    return [code for item in value for code in _codes(item)] if isinstance(value, list) else []


def _actors(stage: Stage) -> dict[ActorID, ActorState]:
    """Return all actors, without the nonce of the sending account."""
    stage.machine.state_tree.flush()
    actors = dict(stage.machine.state_tree.actors())
    sender = ActorID(stage.id_of(ETHEL))
    actors[sender] = replace(actors[sender], nonce=0)
    return actors


# --- plain values -------------------------------------------------------------------------------------------------


def _entries(stage: Stage, case: Case, kind: str) -> list[Mapping[str, Any]]:
    """Return "inputs" or "outputs" of a case's function from the ABI."""
    caller = stage.callers[case.by]
    name = caller.function(case.function).partition("(")[0]
    named = [entry for entry in caller.interface.abi if entry.get("name") == name and entry["type"] == "function"]
    return list(named[0][kind])


def _arguments(stage: Stage, case: Case) -> tuple[Any, ...]:
    """Return a case's arguments; a list is wrapped in a struct if this library requires it."""
    inputs = _entries(stage, case, "inputs")
    pairs = zip(inputs, case.arguments, strict=True)
    return tuple((value,) if entry["type"] == "tuple" and isinstance(value, list) else value for entry, value in pairs)


def _is_exit(entry: Mapping[str, Any]) -> bool:
    return bool(entry["type"] == "int256")


def _is_tuple_of_one(entry: Mapping[str, Any]) -> bool:
    components = entry.get("components", ())
    return entry["type"] == "tuple" and len(components) == 1 and components[0]["type"].endswith("[]")


def _of_library(entry: Mapping[str, Any], value: Any) -> Any:
    """Decode a contract's return data by the ABI's type: numbers, bytes, text, lists."""
    kind, inner = str(entry["type"]), str(entry.get("internalType", ""))
    if kind.endswith("[]"):
        element = {**entry, "type": kind[:-2], "internalType": inner[:-2]}
        return [_of_library(element, item) for item in value]
    if inner == _BIG:
        magnitude, negative = value
        return -int.from_bytes(magnitude, "big") if negative else int.from_bytes(magnitude, "big")
    if inner in (_ADDRESS, _CID):
        return bytes(value[0])
    if inner == _LABEL:
        return value[0].decode() if value[1] else bytes(value[0])
    if kind == "tuple":
        return [_of_library(part, item) for part, item in zip(entry["components"], value, strict=True)]
    return value


def _of_actor(entry: Mapping[str, Any], value: Any) -> Any:
    """Convert an actor's return value to the same type; null stands for any empty value."""
    kind, inner = str(entry["type"]), str(entry.get("internalType", ""))
    if kind.endswith("[]"):
        element = {**entry, "type": kind[:-2], "internalType": inner[:-2]}
        return [_of_actor(element, item) for item in value or []]
    if inner == _BIG:
        return decode_bigint(value or b"")
    if inner == _LABEL:
        return value
    if kind == "tuple" and inner not in (_ADDRESS, _CID):
        parts = entry["components"]
        values = value if value is not None else [None] * len(parts)
        return [_of_actor(part, item) for part, item in zip(parts, values, strict=True)]
    if isinstance(value, CBORTag):
        content: bytes = value.value
        return content if kind == "bytes" else content[1:]  # in bare bytes the library leaves the prefix of a link
    if value is None:
        return {"bool": False, "string": ""}.get(kind, b"" if kind.startswith(("bytes", "tuple")) else 0)
    return value


DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs" / "bridge.md"
OFFICIAL: Final = "bundles/v18-testing-fake-proofs.car"
BEGIN, END = "<!-- table of the Solidity libraries -->", "<!-- end of the table -->"
EQUAL, MISSING, OF_LIBRARY = "equal", "missing", "library"
KEPT, OLDER = "filecoin-solidity-api", "@zondax/filecoin-solidity"
TESTS: Final = f"{OLDER}/tests"


@dataclass(frozen=True, slots=True)
class Column:
    """A library on a machine: `own` or official bundle, and the runner of contracts."""

    title: str
    package: str
    own: bool
    evm: str = "py-evm"

    def run(self, artifacts: Path) -> list[tuple[Case, Compared]]:
        bundle = Bundle.embedded() if self.own else Bundle.open(data_file(OFFICIAL))
        stage = Stage(bundle, artifacts / self.package, self.evm)
        try:
            return [(case, compare_case(stage, case)) for case in cases(stage)]
        finally:
            stage.machine.close()


COLUMNS: Final = (
    Column("own bundle", KEPT, own=True),
    Column("official bundle", KEPT, own=False),
    Column("its EVM actor", KEPT, own=False, evm="official"),
    Column("@zondax, own", OLDER, own=True),
    Column("@zondax, official", OLDER, own=False),
    Column("its tests, own", TESTS, own=True),
    Column("its tests, official", TESTS, own=False),
)
_JUDGES: Final = {library: Column("", library, own=False, evm="official") for library in (OLDER, TESTS)}


def run(artifacts: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the table's rows by function, and the failures."""
    results = {column: column.run(artifacts) for column in COLUMNS}
    judged = {library: [result for _, result in judge.run(artifacts)] for library, judge in _JUDGES.items()}
    rows: dict[str, list[str]] = {}
    problems: list[str] = []
    first = results[COLUMNS[0]]
    succeeding, failing = (Counter(case.method for case, _ in first if case.succeeds is good) for good in (True, False))
    for method in dict.fromkeys(case.method for case, _ in first):
        rows[method] = [str(succeeding[method]), str(failing[method])]
    for column, cells in results.items():
        judges = judged.get(column.package, [None] * len(cells))
        words = _cells(column, zip(cells, judges, strict=True), problems)
        for method, row in rows.items():
            row.append(words[method])
    return rows, problems


def _cells(
    column: Column, pairs: Iterable[tuple[tuple[Case, Compared], Compared | None]], problems: list[str]
) -> Mapping[str, str]:
    cells: dict[str, str] = {}
    for (case, result), judge in pairs:
        cell = cells.setdefault(case.method, EQUAL)
        if not result.problems:
            continue
        if judge is not None and judge.problems == result.problems:
            cells[case.method] = OF_LIBRARY if cell == EQUAL else cell
            continue
        cells[case.method] = MISSING if result.missing else "different"
        problems += [f"{column.title}: {case.method}{case.arguments}: {problem}" for problem in result.problems]
    return cells


def rendered(rows: Mapping[str, list[str]]) -> str:
    titles = ["function", "succeed", "refused", *(column.title for column in COLUMNS)]
    lines = [titles, ["---"] * len(titles), *([f"`{method}`", *row] for method, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def documented() -> str:
    return _parts()[1]


def write(table: str) -> None:
    before, _, after = _parts()
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _parts() -> tuple[str, str, str]:
    """Return the document before the table, the table, and the rest."""
    found = re.fullmatch(f"(.*){re.escape(BEGIN)}\n(.*)\n{re.escape(END)}(.*)", DOCUMENT.read_text(), re.DOTALL)
    assert found, f"{DOCUMENT.name} has no place for the table"
    return found[1], found[2], found[3]


def documented_rows() -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in documented().splitlines()[2:]]
    return {line[0].strip("`"): line[1:] for line in lines}
