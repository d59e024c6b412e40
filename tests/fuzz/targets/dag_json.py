"""DAG-JSON: decoded data has one canonical form with the same value."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from store.cid import cid_of
from store.codec import CodecError, encode, link
from store.dag_json import decode_json, encode_json
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    try:
        value = decode_json(data)
        text = encode_json(value)
    except CodecError:
        return False
    again = decode_json(text)
    assert encode_json(again) == text
    try:
        block = encode(value)
    except CodecError:  # a number that CBOR does not have
        return True
    assert encode(again) == block
    return True


def seeds() -> Iterator[bytes]:
    values: tuple[Any, ...] = (
        None,
        [1, -1, 1.5, 1e21, 2**64],
        {"a": b"bytes", "b": link(cid_of(b""))},
        {"/": 1, "x": "/"},
        [[]],
    )
    for value in values:
        try:
            yield encode_json(value).encode()
        except CodecError:
            yield json.dumps(value, default=repr).encode()
    yield b'{"/": {"bytes": "AQI"}}'
    yield b' [ "\\u0000\\ud83d\\ude00" , 1E5 , -0.0 ] '


def mutate(data: bytes, rng: Random) -> bytes:
    try:
        value = decode_json(data)
    except CodecError:
        value = trees.random_value(rng)
    try:
        text = encode_json(trees.mutated(value, rng))
    except CodecError:
        text = json.dumps(rng.choice(trees.NUMBERS))
    if rng.random() < 0.2:
        text = text.replace(",", rng.choice((" , ", ",\n", ",\t")))
    return text.encode()


TARGET = Target(run, seeds, mutate, share=50, longest=1024)
