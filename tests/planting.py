"""Replacement of attributes at run time, which plants a defect in a class or a module."""


def replace_attribute(owner: object, name: str, value: object) -> None:
    """Replace an existing attribute of a class, a module or an object. Raises AttributeError if there is none."""
    getattr(owner, name)
    setattr(owner, name, value)
