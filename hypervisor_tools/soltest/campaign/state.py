"""The state of a campaign in its folder, which changes in whole steps.

A step's new state and corpus files are first written to one file, `commit.json`, then to their places. A campaign that
was killed in between finishes this when it is opened, so a step is done entirely or not at all.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists, read_bounded
from hypervisor_tools.soltest.project.consent import check_inside, write_inside
from store.untrusted import parse_json

FORMAT: Final = 1
CORPUS: Final = "corpus"
TESTS: Final = "tests"
_STATE: Final = "campaign.json"
_COMMIT: Final = "commit.json"
_MAX_BYTES: Final = 1 << 30


@dataclass(slots=True)
class Finding:
    """A test that fails: its suite as `file:contract`, its signature, and how it was found."""

    suite: str
    test: str
    kind: str
    reason: str
    calls: list[str]
    """The failing input, or the calls of a failing sequence."""
    seed: int | None
    seconds: float
    file: str = ""
    """The unit test that reproduces it, relative to the project."""

    @property
    def key(self) -> tuple[str, str]:
        """The suite and the test."""
        return self.suite, self.test


@dataclass(slots=True)
class CampaignState:
    """Results of the steps so far."""

    seed: int
    sources: str = ""
    """Digest of the sources; findings and proofs hold for them."""
    steps: int = 0
    quiet: int = 0
    """Number of rounds since one found something new."""
    seconds: float = 0.0
    runs: int = 0
    history: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, inputs in the corpus and findings, after each round."""
    findings: list[Finding] = field(default_factory=list)
    proofs: dict[str, str] | None = None
    """Symbolic tests and their outcomes."""
    mutants: dict[str, Any] | None = None
    """Counts of mutants by status, the score, and those that live."""
    notes: list[str] = field(default_factory=list)
    """Reasons why steps were left out."""
    found: int = 0
    """Number of findings of the steps that are done; further ones are those of the step that is not."""
    ended: dict[str, int] = field(default_factory=dict)
    """Jobs of an unfinished round that have ended, with their numbers of runs."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Their inputs, in Base64; empty for those to remove. The corpus has them when the round is done."""

    def tests_done(self) -> set[tuple[str, str]]:
        """Return the tests with a finding of a step that is done, which later steps leave out."""
        return {finding.key for finding in self.findings[: self.found]}


_Fields = TypeVar("_Fields", Finding, CampaignState)


class CampaignFolder:
    """The folder of a campaign, in the folder of its project."""

    def __init__(self, root: Path, folder: Path, own: Iterable[str]) -> None:
        """Finish a commit that was interrupted.

        Raises InvalidInput for a folder outside of the project, and for one that contains a folder of `own`, those of
        the project, or sources other than a campaign's tests.
        """
        if not folder.is_relative_to(root) or folder == root:
            raise InvalidInput(f"{folder} is not a folder in the project {root}: name one, such as {root}/campaign")
        folders = (root / name for name in own if (root / name).resolve().is_relative_to(folder))
        sources = (file for file in folder.rglob("*.sol") if not file.is_relative_to(folder / TESTS))
        if (held := next(chain(folders, sources), None)) is not None:
            raise InvalidInput(
                f"{folder} is or contains {held.relative_to(root)} of the project: name a folder for the campaign "
                f"alone, such as {root}/test/campaign"
            )
        self.root, self.folder = root, folder
        commit = _read(folder / _COMMIT)
        if commit is not None:
            with _as_damaged(folder / _COMMIT):
                _state(commit["state"])
                files = {path: b64decode(text, validate=True) for path, text in commit["files"].items()}
            self._apply(commit["state"], files)

    @property
    def corpus(self) -> str:
        """The folder of the corpus, relative to the project."""
        return (self.folder / CORPUS).relative_to(self.root).as_posix()

    def inputs(self) -> int:
        """Return the number of inputs in the corpus."""
        return sum(1 for _ in (self.folder / CORPUS).rglob("*-*.json*"))

    def load(self) -> CampaignState | None:
        """Return the state, or None for a new campaign. Raises InvalidInput for a damaged one."""
        found = _read(self.folder / _STATE)
        if found is None:
            return None
        with _as_damaged(self.folder / _STATE):
            return _state(found)

    def commit(self, state: CampaignState, files: Mapping[str, bytes]) -> None:
        """Store the state, and write or remove files of the corpus, by their paths in the project."""
        rows = {path: b64encode(data).decode() for path, data in files.items()}
        content = {"state": {"format": FORMAT, **asdict(state)}, "files": rows}
        write_inside(self.root, self.folder / _COMMIT, json.dumps(content).encode())
        self._apply(content["state"], files)

    def _apply(self, state: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            file = self._input_file(path)
            if data:
                write_inside(self.root, file, data)
            else:
                file.unlink(missing_ok=True)
        write_inside(self.root, self.folder / _STATE, json.dumps(state, indent=1).encode())
        (self.folder / _COMMIT).unlink()

    def _input_file(self, path: str) -> Path:
        """Return the file of an input. Raises InvalidInput for one elsewhere, as a checkout's commit may name."""
        name, file = PurePosixPath(path), self.root / path
        if ".." in name.parts or PurePosixPath(self.corpus) not in name.parents:
            raise InvalidInput(
                f"{self.folder / _COMMIT} names {path}, which is not an input in {self.corpus}: remove it"
            )
        for folder in (self.folder, self.folder / CORPUS):
            check_inside(folder, file.parent, "the folder of the input")
        return file


@contextmanager
def _as_damaged(file: Path) -> Iterator[None]:
    """Raise InvalidInput for a file of the campaign with other content than this module writes."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InvalidInput(f"{file} is damaged ({error}): remove it; the corpus stays") from None


def _state(found: Any) -> CampaignState:
    """Return the state that JSON contains. Raises ValueError and others for other JSON."""
    if found["format"] != FORMAT:
        raise ValueError("another format")
    fields = {name: value for name, value in found.items() if name != "format"}
    fields["findings"] = [_checked(Finding(**finding)) for finding in fields["findings"]]
    fields["history"] = [(float(row[0]), int(row[1]), int(row[2])) for row in fields["history"]]
    fields.setdefault("found", len(fields["findings"]))
    mutants = fields.get("mutants")
    if mutants is not None:
        mutants.setdefault("left_out", [])
        kinds = {"score": float | None, "counts": dict[str, int], "alive": list[str], "left_out": list[str]}
        if not all(_is(mutants[name], kind) for name, kind in kinds.items()):
            raise ValueError("mutants is not a result of mutation tests")
    return _checked(CampaignState(**fields))


def _checked(found: _Fields) -> _Fields:
    """Return an object whose fields have their types. Raises ValueError for others."""
    for name, kind in get_type_hints(type(found)).items():
        if not _is(getattr(found, name), kind):
            raise ValueError(f"{name} is not {kind}")
    return found


def _is(value: Any, kind: Any) -> bool:
    """Return True if a value of JSON has a type of this module's fields."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_is(value, each) for each in inner)
    if origin is list:
        return isinstance(value, list) and all(_is(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(each, inner[1]) for each in value.values())
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inner)
    if kind is Any:
        return True
    return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)


def _read(file: Path) -> Any:
    """Return the JSON in a file, None without one."""
    if not exists(file):
        return None
    try:
        return parse_json(read_bounded(file, _MAX_BYTES, "the campaign"))
    except ValueError as error:
        raise InvalidInput(f"{file} is damaged ({error}): remove it; the corpus stays") from None
