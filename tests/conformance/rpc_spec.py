"""Schemas and request files of Ethereum's execution-apis, from the test data.

The schemas are those of the YAML sources, whose references all point to `#/components/schemas`. A request file contains
lines of `>>` requests and `<<` responses of a reference client; `speconly` in its comment means that only the schema of
the response is compared.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.conftest import data_file

_FOLDERS = ("eth", "debug", "txpool")


@dataclass(frozen=True)
class Exchange:
    """A request and the response of the reference client."""

    name: str
    request: dict[str, Any]
    response: dict[str, Any]
    schema_only: bool


def folder() -> Path:
    """Return the folder of the execution-apis. Skips the test without the test data."""
    return data_file("vectors/execution-apis")


@cache
def _methods() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for part in (*_FOLDERS, "testing"):
        for path in sorted((folder() / "src" / part).glob("*.yaml")):
            found.update((method["name"], method) for method in yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


@cache
def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((folder() / "src" / "schemas").glob("*.yaml")):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def method_names() -> list[str]:
    """Return every method that the execution-apis list."""
    return sorted(_methods())


@cache
def result_validator(method: str) -> Draft202012Validator:
    """Return a validator of a method's results."""
    schema = _methods()[method]["result"]["schema"]
    return Draft202012Validator({**schema, "components": {"schemas": _schemas()}})


def schema_violations(method: str, result: Any) -> list[str]:
    """Return the violations of a result's schema: paths and messages."""
    errors = result_validator(method).iter_errors(result)
    return sorted(f"{error.json_path}: {error.message[:200]}" for error in errors)


def exchanges() -> list[Exchange]:
    """Return all requests of all files with the file's name; several in a file are numbered."""
    found = []
    for path in sorted((folder() / "tests").glob("*/*.io")):
        lines = path.read_text(encoding="utf-8").splitlines()
        schema_only = any("speconly" in line for line in lines if line.startswith("//"))
        requests = [json.loads(line[2:]) for line in lines if line.startswith(">>")]
        responses = [json.loads(line[2:]) for line in lines if line.startswith("<<")]
        for number, (request, response) in enumerate(zip(requests, responses, strict=True)):
            name = f"{path.parent.name}/{path.stem}" + (f"#{number}" if number else "")
            found.append(Exchange(name, request, response, schema_only))
    return found
