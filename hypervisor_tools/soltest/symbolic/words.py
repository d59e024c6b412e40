"""Words and byte strings of a symbolic execution, and the EVM's arithmetic on them.

A word is a number or a z3 term of 256 bits. A comparison of terms is an if-then-else of 1 and 0. `truth` returns its
condition, so that branches stay readable for the solver. Numbers never become terms unless they meet one.

Memory, calldata, code and return data are byte strings with symbolic bytes. A byte is a number, or a pair of a term and
the index of one of its 32 bytes. So a word that was stored is found again as the same term, and no bit vectors of 8
bits are built on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import z3

Word: TypeAlias = Any
"""A number below 2^256, or a z3 bit vector of 256 bits."""
Condition: TypeAlias = Any
"""A bool, or a z3 Boolean."""

# z3 calls release the GIL, so another thread may collect terms meanwhile
z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())

BITS: Final = 256
TOP: Final = 1 << BITS
MASK: Final = TOP - 1
_SIGN: Final = 1 << (BITS - 1)
_MAX_POWER: Final = 16
"""Maximum concrete exponent of a symbolic base."""
_MAX_SIZE: Final = 24
"""Maximum number of counted nodes of a term; larger terms count as equally large."""


class NotModelled(Exception):
    """Raised if a path cannot be continued exactly; the text names the reason."""


def term(word: Word) -> Any:
    """Return a word as a z3 term."""
    return z3.BitVecVal(word, BITS) if isinstance(word, int) else word


def reduced(expression: Any) -> Word:
    """Return a term simplified, as a number if it has only one value."""
    simple = z3.simplify(expression)
    return simple.as_long() if z3.is_bv_value(simple) else simple


def condition(expression: Condition) -> Condition:
    """Return a condition simplified, as a bool if it has only one value."""
    if isinstance(expression, bool):
        return expression
    simple = z3.simplify(expression)
    return True if z3.is_true(simple) else False if z3.is_false(simple) else simple


def free_constants(*expressions: Any) -> list[Any]:
    """Return the symbolic constants that occur in expressions, each once.

    `z3util.get_vars` takes exponential time if terms are shared.
    """
    found, seen, todo = [], set(), list(reversed(expressions))
    while todo:
        one = todo.pop()
        if one.get_id() in seen:
            continue
        seen.add(one.get_id())
        todo += reversed(one.children())
        if z3.is_const(one) and one.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found.append(one)
    return found


def word_of(holds: Condition) -> Word:
    """Return 1 if a condition holds, otherwise 0."""
    holds = condition(holds)
    return int(holds) if isinstance(holds, bool) else z3.If(holds, z3.BitVecVal(1, BITS), z3.BitVecVal(0, BITS))


def truth(word: Word) -> Condition:
    """Return the condition under which a word is not 0."""
    if isinstance(word, int):
        return word != 0
    if z3.is_app_of(word, z3.Z3_OP_ITE) and z3.is_bv_value(word.arg(1)) and z3.is_bv_value(word.arg(2)):
        yes, no = word.arg(1).as_long() != 0, word.arg(2).as_long() != 0
        if yes != no:
            return condition(word.arg(0) if yes else z3.Not(word.arg(0)))
        return yes
    if z3.is_app_of(word, z3.Z3_OP_BOR):  # such as the check of an overflow, `x == 0 | x * y / x == y`
        return condition(z3.Or(*map(truth, word.children())))
    return condition(word != 0)


def equal(left: Word, right: Word) -> Condition:
    """Return the condition under which two words are equal."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    for quotient, factor in ((left, right), (right, left)):
        divisor = _divisor_of_product(quotient, factor)
        if divisor is not None:
            fits = z3.BVMulNoOverflow(divisor, term(factor), signed=False)
            return condition(z3.If(divisor == 0, term(factor) == 0, fits))
    return condition(term(left) == term(right))


def _divisor_of_product(quotient: Word, factor: Word) -> Any:
    """Return d if a quotient is `(d * factor) / d`, else None.

    Solidity detects the overflow of a product in this way. The solver decides an overflow faster than a division.
    """
    if isinstance(quotient, int) or not z3.is_app_of(quotient, z3.Z3_OP_ITE):
        return None
    zero, found = quotient.arg(1), quotient.arg(2)
    is_quotient = any(z3.is_app_of(found, kind) for kind in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I))
    if not is_quotient or not z3.is_bv_value(zero) or zero.as_long():
        return None
    product, divisor = found.children()
    if not z3.simplify(quotient.arg(0)).eq(z3.simplify(divisor == 0)):
        return None  # the division is a branch of another choice
    if not z3.is_app_of(product, z3.Z3_OP_BMUL) or product.num_args() != 2:
        return None
    pairs = (product.children(), product.children()[::-1])
    return divisor if any(one.eq(divisor) and is_same(term(factor), other) for one, other in pairs) else None


def is_same(left: Word, right: Word) -> bool:
    """Return True if two words are the same number or term."""
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    return bool(left.eq(right))


def greater(left: Word, right: Word) -> Condition:
    """Return the condition under which one unsigned word exceeds another.

    With `rest = right - left` modulo 2^256, `left > right` is the same as `rest > right` and as `rest > ~left`. So the
    checks of overflow, `x - y > x` and `x > x + y`, become comparisons without the difference or sum.
    """
    a, b = term(left), term(right)
    rest = z3.simplify(b - a)
    forms = ((_size(a) + _size(b), a, b), (_size(rest) + _size(b), rest, b), (_size(rest) + _size(a), rest, ~a))
    _, more, less = min(forms, key=lambda form: form[0])
    return condition(z3.UGT(more, less))


def _size(expression: Any) -> int:
    """Return the number of nodes of a term, or `_MAX_SIZE` if it has more."""
    count, todo = 0, [expression]
    while todo and count < _MAX_SIZE:
        count += 1
        todo += todo.pop().children()
    return count


def negation(holds: Condition) -> Condition:
    """Return the negated condition."""
    return not holds if isinstance(holds, bool) else condition(z3.Not(holds))


def choose(holds: Condition, yes: Word, no: Word) -> Word:
    """Return one word if a condition holds, otherwise the other."""
    if isinstance(holds, bool):
        return yes if holds else no
    return reduced(z3.If(holds, term(yes), term(no)))


def signed(number: int) -> int:
    """Return the two's complement value of a number."""
    return number - TOP if number & _SIGN else number


def _div(a: int, b: int) -> int:
    return a // b if b else 0


def _sdiv(a: int, b: int) -> int:
    x, y = signed(a), signed(b)
    if y == 0:
        return 0
    magnitude = abs(x) // abs(y)
    return (magnitude if (x < 0) == (y < 0) else -magnitude) & MASK


def _smod(a: int, b: int) -> int:
    x, y = signed(a), signed(b)
    if y == 0:
        return 0
    magnitude = abs(x) % abs(y)
    return (-magnitude if x < 0 else magnitude) & MASK


def _unless_zero(divisor: Word, value: Any) -> Any:
    if isinstance(divisor, int):
        return value if divisor else z3.BitVecVal(0, BITS)
    return z3.If(divisor == 0, z3.BitVecVal(0, BITS), value)


def _signextend(size: int, word: int) -> int:
    if size >= 31:
        return word
    bit = 8 * size + 7
    return word | (MASK ^ ((1 << bit) - 1)) if word >> bit & 1 else word & ((1 << (bit + 1)) - 1)


def _signextend_term(size: Word, word: Word) -> Any:
    if isinstance(size, int):
        return term(word) if size >= 31 else z3.SignExt(248 - 8 * size, z3.Extract(8 * size + 7, 0, term(word)))
    made = term(word)
    for place in range(31):
        made = z3.If(size == place, _signextend_term(place, word), made)
    return made


def _byte_term(index: Word, word: Word) -> Any:
    place = z3.LShR(term(word), (31 - term(index)) * 8) & 0xFF
    return z3.If(z3.ULT(term(index), 32), place, z3.BitVecVal(0, BITS))


def _clz_term(word: Word) -> Any:
    made = z3.BitVecVal(BITS, BITS)
    for bit in range(BITS):
        made = z3.If(z3.Extract(bit, bit, word) == 1, z3.BitVecVal(BITS - 1 - bit, BITS), made)
    return made


_Numbers = Callable[..., int]
_Terms = Callable[..., Any]

OPERATIONS: Final[dict[int, tuple[int, _Numbers, _Terms]]] = {
    0x01: (2, lambda a, b: (a + b) & MASK, lambda a, b: term(a) + term(b)),
    0x02: (2, lambda a, b: a * b & MASK, lambda a, b: term(a) * term(b)),
    0x03: (2, lambda a, b: (a - b) & MASK, lambda a, b: term(a) - term(b)),
    0x04: (2, _div, lambda a, b: _unless_zero(b, z3.UDiv(term(a), term(b)))),
    0x05: (2, _sdiv, lambda a, b: _unless_zero(b, term(a) / term(b))),
    0x06: (2, lambda a, b: a % b if b else 0, lambda a, b: _unless_zero(b, z3.URem(term(a), term(b)))),
    0x07: (2, _smod, lambda a, b: _unless_zero(b, z3.SRem(term(a), term(b)))),
    0x08: (3, lambda a, b, m: (a + b) % m if m else 0, lambda a, b, m: _modular(a, b, m, 1)),
    0x09: (3, lambda a, b, m: a * b % m if m else 0, lambda a, b, m: _modular(a, b, m, BITS)),
    0x0B: (2, _signextend, _signextend_term),
    0x10: (2, lambda a, b: int(a < b), lambda a, b: word_of(greater(b, a))),
    0x11: (2, lambda a, b: int(a > b), lambda a, b: word_of(greater(a, b))),
    0x12: (2, lambda a, b: int(signed(a) < signed(b)), lambda a, b: word_of(term(a) < term(b))),
    0x13: (2, lambda a, b: int(signed(a) > signed(b)), lambda a, b: word_of(term(a) > term(b))),
    0x14: (2, lambda a, b: int(a == b), lambda a, b: word_of(equal(a, b))),
    0x15: (1, lambda a: int(a == 0), lambda a: word_of(negation(truth(a)))),
    0x16: (2, lambda a, b: a & b, lambda a, b: term(a) & term(b)),
    0x17: (2, lambda a, b: a | b, lambda a, b: term(a) | term(b)),
    0x18: (2, lambda a, b: a ^ b, lambda a, b: term(a) ^ term(b)),
    0x19: (1, lambda a: a ^ MASK, lambda a: ~term(a)),
    0x1A: (2, lambda i, a: a >> 8 * (31 - i) & 0xFF if i < 32 else 0, _byte_term),
    0x1B: (2, lambda s, a: a << s & MASK if s < BITS else 0, lambda s, a: term(a) << term(s)),
    0x1C: (2, lambda s, a: a >> s if s < BITS else 0, lambda s, a: z3.LShR(term(a), term(s))),
    0x1D: (2, lambda s, a: signed(a) >> min(s, 255) & MASK, lambda s, a: term(a) >> term(s)),
    0x1E: (1, lambda a: BITS - a.bit_length(), _clz_term),
}
"""Number of operands, and the operation on numbers and on terms, by opcode."""


def _modular(a: Word, b: Word, modulus: Word, more: int) -> Any:
    """Return the sum (`more` 1) or product (`more` 256) of two words in enough bits, by a modulus."""
    x, y, m = (z3.ZeroExt(more, term(word)) for word in (a, b, modulus))
    return _unless_zero(modulus, z3.Extract(BITS - 1, 0, z3.URem(x + y if more == 1 else x * y, m)))


def operate(opcode: int, *operands: Word) -> Word:
    """Return the result of an arithmetic opcode; the first operand is the stack's top."""
    _, numbers, terms = OPERATIONS[opcode]
    if all(isinstance(operand, int) for operand in operands):
        return numbers(*operands)
    made = terms(*operands)
    return made if isinstance(made, int) else reduced(made)


def add(left: Word, right: Word) -> Word:
    """Return a sum modulo 2^256."""
    return operate(0x01, left, right)


def subtract(left: Word, right: Word) -> Word:
    """Return a difference modulo 2^256."""
    return operate(0x03, left, right)


def below(left: Word, right: Word) -> Condition:
    """Return the condition under which one unsigned word is less than another."""
    return truth(operate(0x10, left, right))


def power(base: Word, exponent: Word) -> Word:
    """Return a power modulo 2^256. Raises NotModelled for most symbolic exponents."""
    if isinstance(base, int) and isinstance(exponent, int):
        return pow(base, exponent, TOP)
    if isinstance(exponent, int):
        if exponent > _MAX_POWER:
            raise NotModelled(f"EXP of a symbolic base with the exponent {exponent}")
        made: Word = 1
        for _ in range(exponent):
            made = operate(0x02, made, base)
        return made
    if base == 2:
        return operate(0x1B, exponent, 1)
    if base in (0, 1):
        return 1 if base == 1 else word_of(equal(exponent, 0))
    if base == 256:
        return choose(below(exponent, 32), operate(0x1B, operate(0x1B, 3, exponent), 1), 0)
    raise NotModelled("EXP with a symbolic exponent")


Byte: TypeAlias = int | tuple[Any, int]
Data: TypeAlias = Sequence[Byte]


def bytes_of_word(word: Word) -> list[Byte]:
    """Return the 32 bytes of a word, most significant first."""
    if isinstance(word, int):
        return list(word.to_bytes(32, "big"))
    return [(word, index) for index in range(32)]


def word_at(data: Data, at: int) -> Word:
    """Return the word at an offset; bytes after the end are 0."""
    part = list(data[at : at + 32])
    part += [0] * (32 - len(part))
    return joined(part)


def joined(part: Data) -> Word:
    """Return up to 32 bytes as a number, or as a term of 256 bits with zeros before them."""
    found = concrete(part)
    if found is not None:
        return int.from_bytes(found, "big")
    first = part[0]
    if len(part) == 32 and isinstance(first, tuple) and first[1] == 0:
        whole = first[0]
        if all(isinstance(byte, tuple) and byte[0] is whole and byte[1] == i for i, byte in enumerate(part)):
            return whole
    bits = bit_vector(part)
    return reduced(z3.ZeroExt(BITS - bits.size(), bits) if bits.size() < BITS else bits)


def concrete(data: Data) -> bytes | None:
    """Return the bytes if none is symbolic."""
    try:
        return bytes(data)  # type: ignore[arg-type]  # a pair raises TypeError
    except TypeError:
        return None


def bit_vector(data: Data) -> Any:
    """Return bytes, at least one, as one bit vector."""
    parts: list[Any] = []
    at = 0
    while at < len(data):
        byte, end = data[at], at + 1
        if isinstance(byte, int):
            while end < len(data) and isinstance(data[end], int):
                end += 1
            number = int.from_bytes(bytes(data[at:end]), "big")  # type: ignore[arg-type]  # all are numbers
            parts.append(z3.BitVecVal(number, 8 * (end - at)))
        else:
            whole, first = byte
            while end < len(data):
                follower = data[end]
                if isinstance(follower, int) or follower[0] is not whole or follower[1] != first + end - at:
                    break
                end += 1
            parts.append(z3.Extract(BITS - 1 - 8 * first, BITS - 8 * (first + end - at), whole))
        at = end
    return z3.simplify(z3.Concat(*parts) if len(parts) > 1 else parts[0])


def slice_of(data: Data, at: int, size: int) -> list[Byte]:
    """Return `size` bytes from an offset; bytes after the end are 0."""
    part = list(data[at : at + size])
    return part + [0] * (size - len(part))


def values(data: Data, model: z3.ModelRef) -> bytes:
    """Return the bytes that a model gives."""
    known: dict[int, bytes] = {}

    def value(byte: Byte) -> int:
        if isinstance(byte, int):
            return byte
        whole, index = byte
        if whole.get_id() not in known:
            known[whole.get_id()] = model.eval(whole, model_completion=True).as_long().to_bytes(32, "big")
        return known[whole.get_id()][index]

    return bytes(value(byte) for byte in data)


def words_data(*words: Word) -> list[Byte]:
    """Return words one after the other as bytes."""
    return list(chain.from_iterable(bytes_of_word(word) for word in words))
