"""Proves the arithmetic of compiled regions and prints the duration: `make verify`."""

import sys
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from tests.verification.division_proofs import interpreter_proofs, operand_proofs, small_proofs
from tests.verification.proofs import Proof, proofs, prove_all

KINDS: Final[tuple[Callable[[], Iterable[Proof]], ...]] = (proofs, operand_proofs, interpreter_proofs, small_proofs)
"""Generators of proofs: of generated code, of its calls of `operate`, of `operate` itself, of its algorithms."""


def main() -> int:
    """Return 0 if every proof holds."""
    count, wrong, seconds = prove_all(chain.from_iterable(kind() for kind in KINDS))
    for words in wrong:
        print(f"does not hold: {words}", file=sys.stderr)
    print(f"{count - len(wrong)} of {count} proofs hold, in {seconds:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
