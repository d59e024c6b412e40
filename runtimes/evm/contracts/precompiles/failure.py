"""The failure of a precompile: the call pushes 0 and returns nothing."""


class PrecompileFailure(Exception):
    """Raised for input that a precompile rejects. Only its gas is consumed."""
