"""The one way in which a precompile fails: the call pushes 0 and returns nothing."""


class PrecompileFailure(Exception):
    """Input that the precompile refuses. What its gas was is spent, nothing more."""
