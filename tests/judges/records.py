"""geth's answers, in tests/golden/judges/geth: a file per script with the script's digest.

Hashes of blocks, and results that a script names, are replaced by their placeholders, so that both nodes' answers can
be compared.
"""

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.golden_cases import GOLDEN
from tests.judges.differences import Difference, compare
from tests.judges.nodes import VERSION, JudgedNode, hashes
from tests.judges.scripts import MINE, Request, digest

RECORDS: Final = GOLDEN / "judges" / "geth"
COMMAND: Final = 'make judges ARGS="--write"'
_HASH: Final = re.compile("[0-9a-f]{64}")


class StaleRecord(Exception):
    """Raised if a script or the chain is newer than its record; the message names the command that helps."""


def play(asked: list[Request], node: JudgedNode) -> Iterator[dict[str, Any]]:
    """Send requests to a node with the chain; yield the answers."""
    known = _hash_names(node)
    named: dict[str, str] = {}
    for request in asked:
        if request == MINE:
            node.mine(None)
            known = _hash_names(node)
            continue
        text = json.dumps(request.params)
        if "<" in text:
            for value, name in known.items():
                text = text.replace(f"<{name}>", f"0x{value}")
            for name, result in named.items():
                text = text.replace(f"<{name}>", result)
        answer = node.ask(request.method, json.loads(text))
        if request.name and isinstance(answer.get("result"), str):
            named[request.name] = answer["result"]
            answer = {"result": f"<{request.name}>"}
        yield _with_names(answer, known)


def _with_names(answer: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    text = _HASH.sub(lambda found: f"<{known[found[0]]}>" if found[0] in known else found[0], json.dumps(answer))
    named: dict[str, Any] = json.loads(text)
    return named


def _hash_names(node: JudgedNode) -> dict[str, str]:
    return {value[2:]: f"hash{height}" for height, value in enumerate(hashes(node))}


def read_record(subject: str) -> list[dict[str, Any]]:
    """Return geth's answers to a script. Raises StaleRecord."""
    path = RECORDS / f"{subject}.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes())) if path.is_file() else {}
    if content.get("digest") != digest(subject):
        raise StaleRecord(f"the script {subject} has changed: record geth's answers with `{COMMAND}`")
    answers: list[dict[str, Any]] = content["answers"]
    return answers


def write_record(subject: str, answers: list[dict[str, Any]]) -> None:
    RECORDS.mkdir(parents=True, exist_ok=True)
    content = {"geth": VERSION, "digest": digest(subject), "answers": answers}
    data = json.dumps(content, separators=(",", ":")).encode()
    (RECORDS / f"{subject}.json.gz").write_bytes(gzip.compress(data, mtime=0))


def differences(
    subject: str, asked: list[Request], ours: list[dict[str, Any]], geth: list[dict[str, Any]], left_out: set[str]
) -> Iterator[list[Difference]]:
    """Yield the differences of the answers to each request."""
    answered = [request for request in asked if request != MINE]
    for number, (request, left, right) in enumerate(zip(answered, ours, geth, strict=True)):
        yield [Difference(subject, number, request, *found) for found in compare(left, right, left_out)]
