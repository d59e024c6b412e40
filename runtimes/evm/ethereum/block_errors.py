"""The error for an invalid block, with the exception names of Ethereum's test fixtures."""

from hypervisor.errors import InvalidInput


class InvalidBlock(InvalidInput):
    """Raised for a block that breaks a rule of its fork.

    `names` are exception names of Ethereum's test fixtures, the most specific one first.
    """

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.message = message
        self.names = names

    @property
    def name(self) -> str:
        """The most specific exception name."""
        return self.names[0]


def mismatch(what: str, found: bytes, expected: bytes) -> str:
    """Return the error text for a hash or root in a block that is not the expected one."""
    return f"{what} 0x{found.hex()}, expected 0x{expected.hex()}"
