"""Comparison of every function of the Solidity libraries on both bundles with docs/bridge.md; `--write` updates it."""

import subprocess
import sys
from pathlib import Path

from tests.integration.filecoin_solidity import compare

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "filecoin-solidity"


def main() -> int:
    made = subprocess.run([SCRIPT], stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:  # it has said why
        return made.returncode
    rows, problems = compare.run(Path(made.stdout.strip()))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    found = compare.rendered(rows)
    if "--write" in sys.argv:
        compare.write(found)
    elif found != compare.documented():
        print("error: the table in docs/bridge.md is another: `make bridge ARGS=--write` renews it", file=sys.stderr)
        return 1
    cells = [cell for row in rows.values() for cell in row[2:]]
    print(f"{len(rows)} functions, {cells.count(compare.EQUAL)} of {len(cells)} cells equal to the native call")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
