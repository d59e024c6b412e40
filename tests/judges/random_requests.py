"""Random requests to geth and to our node, as a recorded run: a grammar of parameters by kind (random.json).

A request is one of `steps` with a random value for each list that it names. Beside the forms of scripts,
`{"$some": "$list"}` is an object of up to three of a list's objects, and `{"$many": value}` a list of one to three.
A finding is a kind of difference, by method and path, that known.toml does not list: it becomes a line of a script.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from random import Random
from time import monotonic
from typing import Any, Final

from tests.harness.recorded import NOT_RUN, RunRecord, finish, options
from tests.judges.differences import Difference, beside_list, known_differences
from tests.judges.geth_node import Geth, OurEthereumNode
from tests.judges.nodes import NoJudge, make_chain
from tests.judges.records import differences, play
from tests.judges.scripts import GETH, Request

_MOST: Final = 3
_MAX_FINDINGS: Final = 200


def random_requests(seed: int, count: int) -> Iterator[Request]:
    """Yield the requests of a seed."""
    content = json.loads((GETH.folder / "random.json").read_text(encoding="utf-8"))
    values, random = {**GETH.common_values, **content["values"]}, Random(seed)
    for _ in range(count):
        method, *params = GETH.with_names(chosen(random.choice(content["steps"]), values, random))
        yield Request(method, params)


def chosen(value: Any, values: dict[str, list[Any]], random: Random) -> Any:
    """Return a value with a random one for each list that it names."""
    again = partial(chosen, values=values, random=random)
    if isinstance(value, str):
        return again(random.choice(values[value[1:]])) if value.startswith("$") else value
    if isinstance(value, list):
        return [again(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$many" in value:
        return [again(value["$many"]) for _ in range(random.randint(1, _MOST))]
    if "$some" in value:
        return _merged([again(value["$some"]) for _ in range(random.randint(0, _MOST))])
    return _merged(again(value["$merge"])) if "$merge" in value else {name: again(each) for name, each in value.items()}


def _merged(parts: list[Any]) -> dict[str, Any]:
    return {name: each for part in parts if isinstance(part, dict) for name, each in part.items()}


def run(seed: int, count: int) -> RunRecord:
    """Play the requests of a seed to both nodes. Raises NoJudge."""
    asked = list(random_requests(seed, count))
    left_out, known = known_differences(GETH)
    with OurEthereumNode() as ours, Geth() as geth:
        make_chain(ours, GETH)
        make_chain(geth, GETH)
        theirs = list(play(asked, geth))
        found = list(differences("random", asked, list(play(asked, ours)), theirs, left_out))
    comparison = beside_list(found, known)
    kinds: dict[tuple[str, str], Difference] = {}
    for each in comparison.new:
        kinds.setdefault((each.request.method, each.path), each)
    stages = {"equal or listed": count - len({each.number for each in comparison.new})}
    stages["answered by geth"] = sum("result" in each for each in theirs)
    findings = [str(each) for each in kinds.values()]
    return RunRecord(seed, count, stages, findings[:_MAX_FINDINGS], dict(comparison.kinds))


def main() -> int:
    """Run the requested comparison and return the exit code."""
    chosen_options, started = options(__doc__, 2000).parse_args(), monotonic()
    try:
        record = run(chosen_options.seed, chosen_options.count)
    except NoJudge as missing:
        print(f"{NOT_RUN}{missing}")
        return 2
    return finish(record, chosen_options, started)


if __name__ == "__main__":
    sys.exit(main())
