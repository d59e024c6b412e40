"""Measurement of the messages of vectors."""

import pytest

from bench.data import PROJECT
from bench.messages import GOLDEN, microseconds, name_of, some, variants
from tests.conftest import bundle_folder, data_file

TIPSETS = PROJECT / "tests" / "golden" / "tipsets" / "blocks-nv28.jsonl.gz"


def test_vectors_of_tipsets_are_omitted() -> None:
    """They apply no message, so a measurement of one would never end."""
    assert TIPSETS not in GOLDEN
    assert [*variants([TIPSETS], data_file("bundles"), some("blocks-213"))] == []


@pytest.mark.slow
def test_time_of_each_message_is_measured() -> None:
    name = "self/root/read@nv28:nv28"
    files = [file for file in GOLDEN if file.name == "self.jsonl.gz"]
    (variant,) = variants(files, bundle_folder(), lambda wanted, _: wanted == name)
    assert name_of(variant) == name
    (time,) = microseconds(variant, 0.001)
    assert 1 < time < 1e6
