"""Measurement of the messages of vectors."""

from bench.data import BUNDLES
from bench.messages import GOLDEN, microseconds, name_of, some, variants


def test_vectors_of_tipsets_are_omitted() -> None:
    """They apply no message, so a measurement of one would never end."""
    assert [*variants([GOLDEN / "tipsets" / "blocks-nv28.jsonl.gz"], BUNDLES, some("blocks-213"))] == []


def test_time_of_each_message_is_measured() -> None:
    (variant,) = variants([GOLDEN / "self.jsonl.gz"], BUNDLES, lambda name, _: name == "self/root/read@nv28:nv28")
    assert name_of(variant) == "self/root/read@nv28:nv28"
    (time,) = microseconds(variant, 0.001)
    assert 1 < time < 1e6
