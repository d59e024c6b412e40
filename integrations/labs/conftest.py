"""Settings and fixtures of the main project's tests, for the tests and the examples of the labs."""

from tests.conftest import high_limit, preserved_limit, pytest_collection

__all__ = ["high_limit", "preserved_limit", "pytest_collection"]

pytest_plugins = ("tests.suite_rules", "pytester")
