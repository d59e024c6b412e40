"""A judge's answers, in tests/golden/judges/JUDGE: a file per script with the script's digest.

Texts that differ between the nodes, such as hashes of blocks, and results that a script names, are replaced by their
placeholders, so that both nodes' answers can be compared.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.golden_cases import GOLDEN
from tests.judges.differences import Difference, compare
from tests.judges.nodes import JudgedNode
from tests.judges.scripts import MINE, Request, Scripts

_VARYING: Final = re.compile("ff0{22}[0-9a-f]{16}|[0-9a-f]{64}|baf[a-z2-7]{56,}|t0[0-9]+")
"""What a placeholder can stand for: masked IDs, hashes, CIDs and ID addresses."""


class StaleRecord(Exception):
    """Raised if a script or the chain is newer than its record; the message names the command that helps."""


def play(asked: list[Request], node: JudgedNode) -> Iterator[dict[str, Any]]:
    """Send requests to a node with the chain; yield the answers."""
    known = node.names()
    named: dict[str, str] = {}
    for request in asked:
        if request == MINE:
            node.mine(None)
            known = node.names()
            continue
        text = json.dumps(request.params)
        if "<" in text:
            for name, value in {**known, **named}.items():
                text = text.replace(f"<{name}>", value)
        answer = node.ask(request.method, json.loads(text))
        if request.name and isinstance(answer.get("result"), str):
            named[request.name] = answer["result"]
            answer = {"result": f"<{request.name}>"}
        yield _with_names(answer, {value.removeprefix("0x"): name for name, value in known.items()})


def _with_names(answer: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    text = _VARYING.sub(lambda found: f"<{known[found[0]]}>" if found[0] in known else found[0], json.dumps(answer))
    named: dict[str, Any] = json.loads(text)
    return named


def command(scripts: Scripts) -> str:
    """Return the command that records a judge's answers."""
    return f'make judges ARGS="{scripts.judge} --write"'


def read_record(scripts: Scripts, subject: str) -> list[dict[str, Any]]:
    """Return a judge's answers to a script. Raises StaleRecord."""
    path = _folder(scripts) / f"{subject}.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes())) if path.is_file() else {}
    if content.get("digest") != scripts.digest(subject):
        raise StaleRecord(f"the script {subject} has changed: record the answers with `{command(scripts)}`")
    answers: list[dict[str, Any]] = content["answers"]
    return answers


def read_blocks(scripts: Scripts) -> list[dict[str, Any]]:
    """Return the facts of the judge's blocks that ours gets, if there are any."""
    path = _folder(scripts) / "chain.json"
    blocks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return blocks


def write_record(scripts: Scripts, subject: str, answers: list[dict[str, Any]]) -> None:
    _folder(scripts).mkdir(parents=True, exist_ok=True)
    content = {"digest": scripts.digest(subject), "answers": answers}
    data = json.dumps(content, separators=(",", ":")).encode()
    (_folder(scripts) / f"{subject}.json.gz").write_bytes(gzip.compress(data, mtime=0))


def write_blocks(scripts: Scripts, blocks: list[dict[str, Any]]) -> None:
    if blocks:
        (_folder(scripts) / "chain.json").write_text(json.dumps(blocks, indent=1) + "\n", encoding="utf-8")


def _folder(scripts: Scripts) -> Path:
    return GOLDEN / "judges" / scripts.judge


def differences(
    subject: str, asked: list[Request], ours: list[dict[str, Any]], theirs: list[dict[str, Any]], left_out: set[str]
) -> Iterator[list[Difference]]:
    """Yield the differences of the answers to each request."""
    answered = [request for request in asked if request != MINE]
    for number, (request, left, right) in enumerate(zip(answered, ours, theirs, strict=True)):
        yield [Difference(subject, number, request, *found) for found in compare(left, right, left_out)]
