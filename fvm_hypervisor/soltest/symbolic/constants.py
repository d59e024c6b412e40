"""Symbolic constants of terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import z3

HASH_NAME: Final = "keccak#"
"""Prefix of the names of hash variables. Solidity identifiers cannot contain `#`."""


@dataclass(slots=True)
class Constants:
    """Finds the symbolic constants that terms contain. Results are cached per subterm."""

    _found: dict[int, tuple[Any, frozenset[int]]] = field(default_factory=dict)
    """Term and constants by the identity of the term; the reference keeps the identity from being used again."""

    def of(self, term: Any) -> frozenset[int]:
        """Return the identities of the constants of a term."""
        todo = [term]
        while todo:
            one = todo[-1]
            name = one.get_id()
            if name in self._found:
                todo.pop()
                continue
            if z3.is_const(one):
                is_symbol = one.decl().kind() == z3.Z3_OP_UNINTERPRETED
                self._found[name] = (one, frozenset((name,) if is_symbol else ()))
                todo.pop()
                continue
            parts = one.children()
            missing = [part for part in parts if part.get_id() not in self._found]
            if missing:
                todo += missing
                continue
            self._found[name] = (one, frozenset().union(*(self._found[part.get_id()][1] for part in parts)))
            todo.pop()
        return self._found[term.get_id()][1]
