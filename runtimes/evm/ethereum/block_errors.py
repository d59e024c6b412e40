"""The error of an invalid block, with the names that Ethereum's test fixtures give to exceptions."""

from hypervisor.errors import InvalidInput


class InvalidBlock(InvalidInput):
    """Raised for a block that breaks a rule; nothing of it is kept.

    `names` are the names of the exception in Ethereum's fixtures, the most exact one first.
    """

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.message = message
        self.names = names

    @property
    def name(self) -> str:
        """The most exact name of the exception."""
        return self.names[0]
