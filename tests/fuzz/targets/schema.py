"""The schema language, and data read and written by its types."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from hypervisor import builtin_actors
from store.cid import cid_of
from store.codec import link
from store.schema import Schema
from store.schema.types import SchemaError
from tests.fuzz import trees
from tests.fuzz.target import Target

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]|\"[^\"]*\"")
_VALUES: tuple[Any, ...] = (
    None,
    True,
    5,
    b"\0\1",
    "a",
    "a:b,c",
    1.5,
    [],
    [1, "x"],
    {},
    {"a": 1, "b": None},
    {"x": [1]},
    link(cid_of(b"")),
    [[b"", 2], [b"", 2]],
)


def run(data: bytes) -> bool:
    try:
        schema = Schema.parse(data.decode())
    except (SchemaError, UnicodeDecodeError):
        return False
    for name in [*schema.types][:8]:
        for value in _VALUES:
            _both_ways(schema, name, value)
    return True


def _both_ways(schema: Schema, name: str, data: Any) -> None:
    try:
        value = schema.read(name, data)
    except SchemaError:
        return
    assert schema.read(name, schema.write(name, value)) == value


def seeds() -> Iterator[bytes]:
    folder = Path(builtin_actors.__file__).parent / "schemas"
    common = (folder / "common.ipldsch").read_bytes()
    yield common
    for name in ("account", "cron", "init", "paymentchannel"):
        yield common + (folder / f"{name}.ipldsch").read_bytes()
    yield b"""type Pair struct { a Int (rename "x") b optional String } representation map
type Line struct { a String b String } representation stringjoin { join ":" }
type Way enum { | North ("n") | South } representation string
type Any union { | Int int | Pair map } representation kinded
type Named union { | Line "line" | Pair "pair" } representation keyed
type Tagged union { | Pair "p" } representation inline { discriminantKey "t" }
type Boxed union { | Int "i" } representation envelope { discriminantKey "t" contentKey "c" }
type Text union { | Line "l:" } representation stringprefix
type Deep [{String:nullable &Any}]
type Pairs {String:Int} representation stringpairs { innerDelim "=" entryDelim "," }
type Both struct { a Int b nullable Deep } representation tuple
type Same = Both
type None unit representation null
advanced HAMT5
type Tree {String:Int} representation advanced HAMT5
"""


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new schema by the grammar, one in three with a changed token."""
    text = data.decode(errors="ignore") if rng.random() < 0.1 else _schema(rng)
    if rng.random() < 0.3:
        tokens = _TOKEN.findall(text) or [""]
        place, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        tokens[place] = rng.choice((tokens[other], "", tokens[place] * 2, trees.text(rng, tokens[place])))
        text = "".join(tokens)
    return text.encode(errors="ignore")


def _schema(rng: Random) -> str:
    count = rng.randrange(1, 7)
    return "".join(
        f"type T{number} {_type(rng, [f'T{other}' for other in range(number)])}\n" for number in range(count)
    )


def _type(rng: Random, others: list[str]) -> str:
    def name() -> str:
        return rng.choice([*others, "Int", "String", "Bytes", "Bool", "Float", "Link", "Any", "Null"])

    def inline() -> str:
        return rng.choice((f"[{name()}]", f"{{String:nullable {name()}}}", f"&{name()}", f"[nullable {name()}]"))

    def term() -> str:
        return rng.choice((name(), name(), f"nullable {name()}", inline()))

    fields = [term() for _ in range(rng.randrange(4))]
    struct = "struct {\n" + "".join(f"  f{at} {field}\n" for at, field in enumerate(fields)) + "}"
    texts = "struct { a String b String }"
    match rng.randrange(9):
        case 0:
            return struct
        case 1:
            return f"{struct} representation {rng.choice(('tuple', 'map', 'listpairs'))}"
        case 2:
            return 'enum { | A ("x") | B | C ("10") } representation string'
        case 3:
            return 'enum { | A ("1") | B ("2") } representation int'
        case 4:
            return "union { | Int int | String string } representation kinded"
        case 5:
            return f'union {{ | {name()} "a" | Int "b" }} representation keyed'
        case 6:
            return f"{texts} representation " + rng.choice(
                ('stringjoin { join ":" }', 'stringpairs { innerDelim "=" entryDelim "," }')
            )
        case 7:
            return (
                f'union {{ | {name()} "a" | Int "b" }} representation envelope {{ discriminantKey "t" contentKey "c" }}'
            )
        case _:
            return rng.choice((inline(), f"= {name()}"))


TARGET = Target(run, seeds, mutate, share=12, longest=4000)
