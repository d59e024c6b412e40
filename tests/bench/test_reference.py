"""The reference as a peer process, which responds to each input line and may print other output."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bench import reference
from bench.reference import NoReference, Reference

VERBOSE = """#!/bin/sh
while read -r name; do
  head -c 1000000 /dev/zero | tr '\\0' 'w' >&2
  [ "$name" = last ] && { echo "no such vector" >&2; exit 1; }
  echo '{"messages": [{"least_us": 1.5}, {"least_us": 2}]}'
done
"""


def test_verbose_reference_never_blocks_and_reports_last_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "oracle"
    program.write_text(VERBOSE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(reference, "PROGRAM", program)
    with Reference(tmp_path, []) as peer:
        assert peer.microseconds("some:thing") == [1.5, 2]
        assert peer.microseconds("other:thing") == [1.5, 2]
        with pytest.raises(NoReference, match=r"no such vector$"):
            peer.microseconds("last")
