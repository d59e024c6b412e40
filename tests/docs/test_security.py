"""The page about security names tests that are there, and figures that the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from fvm_hypervisor.cli.main import app
from hypervisor.bundle import MAX_BUNDLE_BYTES
from hypervisor.call_manager import MAX_CALL_DEPTH
from localnet.rpc.node import NodeLimits
from store.car import MAX_SECTION
from store.codec import MAX_DEPTH
from store.compression import LARGEST

PROJECT: Final = Path(__file__).parents[2]
PAGE: Final = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")


def test_tests_named_on_security_page_exist() -> None:
    rows = [
        line.split("|")[2]
        for line in PAGE.split("## What tries to break it")[1].splitlines()
        if line.startswith("| ") and "tests/" in line
    ]
    assert len(rows) >= 10
    for row in rows:
        folder = PROJECT
        for name in re.findall(r"[\w/]+\.py|tests/[\w/]+", row):
            folder = (PROJECT / name).parent if "/" in name else folder
            place = PROJECT / name if "/" in name else folder / name
            assert place.exists(), name


def test_security_page_limits_match_code() -> None:
    limits = NodeLimits()
    for words in (
        f"{limits.body >> 20} MiB; {limits.batch:,} in a batch; an answer of {limits.response >> 20} MiB",
        f"{limits.clients:,} connections, {limits.connections} WebSockets",
        f"silent for {limits.silence:.0f} s",
        f"| what is beside a request's body (its line, headers, frames of chunks) | {limits.head >> 10} KiB |",
        f"{limits.held >> 20} MiB of bodies that arrive or are answered; {limits.held >> 20} MiB of answers",
        f"| what is decompressed | {LARGEST >> 20} MiB |",
        f"| a section of a CAR | {MAX_SECTION >> 20} MiB |",
        f"| CBOR | {MAX_DEPTH} levels |",
        f"| a bundle | {MAX_BUNDLE_BYTES >> 20} MiB;",
        f"{MAX_CALL_DEPTH:,} levels",
    ):
        assert words in PAGE, words


def test_every_command_has_a_row() -> None:
    table = PAGE.split("## What each command executes")[1].split("\n## ")[0]
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups if group.name}
    quoted = set(re.findall(r"`(?:hypervisor )?([\w-]+)[^`]*`", table))
    assert commands - quoted <= {"demo", "doctor", "wallet", "actor"}, commands - quoted
