"""The failure of a precompile: the call pushes 0 and returns nothing."""


class PrecompileFailure(Exception):
    """Raised for input that a precompile rejects. Only its gas is consumed."""


class NotInGroup(PrecompileFailure):
    """Raised for a point of the curve that is not in the group, which costs as much to find out as that it is."""
