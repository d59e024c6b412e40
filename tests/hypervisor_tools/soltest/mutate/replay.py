"""A program that acts as solc by recorded answers. It starts once per mutant, so it imports little.

The first argument names the file with the answers, and those after the third are solc's. For a source with the text of
the second argument it ends without an answer, with that of the third it does not end; empty texts are ignored.
"""

import json
import lzma
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

RECORD: Final = Path(__file__).parent / "solc.json.xz"


def key(compiler_input: dict[str, Any]) -> str:
    """Return the key of an input."""
    return sha256(json.dumps(compiler_input, sort_keys=True).encode()).hexdigest()


def answer_of(compiler_input: dict[str, Any], record: Path = RECORD) -> dict[str, Any]:
    """Return the recorded answer to an input."""
    responses: dict[str, Any] = json.loads(lzma.decompress(record.read_bytes()))
    found: dict[str, Any] = responses[key(compiler_input)]
    return found


def main(record: str, dies: str, hangs: str, *arguments: str) -> None:
    """Print the version, or the recorded answer to the input."""
    if arguments == ("--version",):
        sys.stdout.write("Version: 0.8.30+commit.73712a01\n")
        return
    asked = json.load(sys.stdin)
    texts = [source["content"] for source in asked["sources"].values()]
    if dies and any(dies in text for text in texts):
        sys.exit("out of memory")
    while hangs and any(hangs in text for text in texts):
        time.sleep(1)
    sys.stdout.write(json.dumps(answer_of(asked, Path(record))))


if __name__ == "__main__":
    main(*sys.argv[1:])
