"""Cheatcodes for files, restricted by the project's `fs_permissions`, and for the project's contracts.

A path is relative to the project's root; links are resolved before it is compared with the permissions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from bridge.abi.abi import selector_of
from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.compile.artifact import Bytecode, ContractArtifact
from hypervisor_tools.soltest.project.consent import Consent

MAX_FILE_BYTES: Final = 64 << 20
_ALLOWED: Final = {"read": ("read", "read-write", "true"), "write": ("write", "read-write", "true")}


def allowed_file(context: Context, path: str, access: str) -> Path:
    """Return the file at a path if the project allows this access (`read` or `write`). Raises CheatcodeFailure."""
    context.note_input("files")
    root = context.settings.root
    try:
        target = (root / path).resolve()
        rows = [(row, (root / row.path).resolve()) for row in context.settings.permissions]
    except (OSError, ValueError, RuntimeError) as error:
        raise CheatcodeFailure(f'failed to resolve path "{path}": {error}') from None
    fitting = [(len(folder.parts), row.access) for row, folder in rows if target.is_relative_to(folder)]
    # the most specific row takes precedence
    if not fitting or max(fitting)[1] not in _ALLOWED[access]:
        raise CheatcodeFailure(f"the path {path} is not allowed to be accessed for {access} operations")
    if access == "write" and target == (root / "foundry.toml").resolve():
        raise CheatcodeFailure("access to `foundry.toml` is not allowed")
    if not target.is_relative_to(root.resolve()):
        context.settings.consent.require(Consent.FILES, f"a test wants to {access} {target}, outside of the project")
    if access == "write" and target.is_relative_to((root / ".git").resolve()):  # git executes hooks in this folder
        context.settings.consent.require(Consent.FILES, f"a test wants to write {target}, which git may execute")
    return target


def read_bytes(context: Context, path: str) -> bytes:
    """Return a file's content. Raises CheatcodeFailure."""
    return _read_file(allowed_file(context, path, "read"), lambda file: file.read(MAX_FILE_BYTES + 1))


def _read_file(target: Path, read: Callable[[BinaryIO], bytes]) -> bytes:
    """Return what `read` gets of a file, which may be a device: at most `MAX_FILE_BYTES`. Raises CheatcodeFailure."""
    try:
        with target.open("rb") as file:
            data = read(file)
    except FileNotFoundError:
        raise CheatcodeFailure(f'failed to open file "{target}": No such file or directory (os error 2)') from None
    except OSError as error:
        raise CheatcodeFailure(f'failed to read from "{target}": {error.strerror}') from None
    if len(data) > MAX_FILE_BYTES:
        raise CheatcodeFailure(f'failed to read from "{target}": more than {MAX_FILE_BYTES} bytes')
    return data


def read_text(context: Context, path: str) -> str:
    """Return a file's text. Raises CheatcodeFailure."""
    try:
        return read_bytes(context, path).decode()
    except UnicodeDecodeError:
        raise CheatcodeFailure(f'failed to read from "{path}": stream did not contain valid UTF-8') from None


def write_bytes(context: Context, path: str, data: bytes) -> None:
    """Write a file. Raises CheatcodeFailure."""
    target = allowed_file(context, path, "write")
    try:
        target.write_bytes(data)
    except OSError as error:
        raise CheatcodeFailure(f'failed to write to "{target}": {error.strerror}') from None


# --- files ----------------------------------------------------------------------------------------------------------


@cheatcode("readFile(string)", returns="string")
def _read(context: Context, path: str) -> str:
    return read_text(context, path)


@cheatcode("readFileBinary(string)", returns="bytes")
def _read_binary(context: Context, path: str) -> bytes:
    return read_bytes(context, path)


@cheatcode("readLine(string)", returns="string")
def _read_line(context: Context, path: str) -> str:
    target = allowed_file(context, path, "read")
    reading, key = context.state.reading, str(target)

    def read(file: BinaryIO) -> bytes:
        file.seek(reading.get(key, 0))
        return file.readline(MAX_FILE_BYTES + 1)

    line = _read_file(target, read)
    reading[key] = reading.get(key, 0) + len(line)
    return line.removesuffix(b"\n").decode("utf-8", "replace").rstrip("\r")


@cheatcode("closeFile(string)")
def _close(context: Context, path: str) -> None:
    context.state.reading.pop(str(allowed_file(context, path, "read")), None)


@cheatcode("writeFile(string,string)")
def _write(context: Context, path: str, text: str) -> None:
    write_bytes(context, path, text.encode())


@cheatcode("writeFileBinary(string,bytes)")
def _write_binary(context: Context, path: str, data: bytes) -> None:
    write_bytes(context, path, data)


@cheatcode("writeLine(string,string)")
def _write_line(context: Context, path: str, line: str) -> None:
    target = allowed_file(context, path, "write")
    try:
        with target.open("a") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise CheatcodeFailure(f'failed to write to "{target}": {error.strerror}') from None


@cheatcode("removeFile(string)")
def _remove(context: Context, path: str) -> None:
    target = allowed_file(context, path, "write")
    context.state.reading.pop(str(target), None)
    _do(target, "remove file", target.unlink)


@cheatcode("copyFile(string,string)", returns="uint64")
def _copy(context: Context, source: str, to: str) -> int:
    data = read_bytes(context, source)
    write_bytes(context, to, data)
    return len(data)


@cheatcode("createDir(string,bool)")
def _create_dir(context: Context, path: str, recursive: bool) -> None:
    target = allowed_file(context, path, "write")
    _do(target, "create directory", lambda: target.mkdir(parents=recursive, exist_ok=recursive))


@cheatcode("removeDir(string,bool)")
def _remove_dir(context: Context, path: str, recursive: bool) -> None:
    import shutil

    target = allowed_file(context, path, "write")
    _do(target, "remove directory", lambda: shutil.rmtree(target) if recursive else target.rmdir())


def _do(target: Path, what: str, action: Any) -> None:
    try:
        action()
    except OSError as error:
        raise CheatcodeFailure(f'failed to {what} "{target}": {error.strerror}') from None


for _name, _is_kind in (("exists", os.path.exists), ("isFile", os.path.isfile), ("isDir", os.path.isdir)):
    cheatcode(f"{_name}(string)", returns="bool")(
        lambda context, path, is_kind=_is_kind: is_kind(allowed_file(context, path, "read"))
    )


@cheatcode("projectRoot()", returns="string")
def _root(context: Context) -> str:
    context.note_input("files")
    return str(context.settings.root)


@cheatcode("readLink(string)", returns="string")
def _link(context: Context, path: str) -> str:
    allowed_file(context, path, "read")
    try:
        return os.readlink(context.settings.root / path)
    except OSError as error:
        raise CheatcodeFailure(f'failed to read link "{path}": {error.strerror}') from None


@cheatcode("fsMetadata(string)", returns="(bool,bool,uint256,bool,uint256,uint256,uint256)")
def _metadata(context: Context, path: str) -> tuple[bool, bool, int, bool, int, int, int]:
    target = allowed_file(context, path, "read")
    try:
        found = target.stat()
    except OSError as error:
        raise CheatcodeFailure(f'failed to read metadata of "{target}": {error.strerror}') from None
    times = int(found.st_mtime), int(found.st_atime), int(found.st_ctime)
    link = (context.settings.root / path).is_symlink()
    return target.is_dir(), link, found.st_size, not os.access(target, os.W_OK), *times


_ROW: Final = 9 * 32
"""Minimum ABI size of an entry in bytes: its offset and a word for each text."""
_ENTRY: Final = "(string,string,uint64,bool,bool)[]"


@cheatcode("readDir(string)", "readDir(string,uint64)", returns=_ENTRY)
@cheatcode("readDir(string,uint64,bool)", returns=_ENTRY, partial="links are not followed")
def _read_dir(context: Context, path: str, depth: int = 1, _follow: bool = False) -> Sequence[Any]:
    target = allowed_file(context, path, "read")
    found: list[Any] = []

    def walk(folder: Path, level: int) -> None:
        for entry in sorted(folder.iterdir()):
            check_size(_ROW * len(found))
            found.append(("", str(entry), level, entry.is_dir(), entry.is_symlink()))
            if entry.is_dir() and not entry.is_symlink() and level < depth:
                walk(entry, level + 1)

    _do(target, "read directory", lambda: walk(target, 1))
    return found


# --- contracts of the project --------------------------------------------------------------------------------------


def _artifact(context: Context, name: str) -> ContractArtifact:
    """Return a contract of the project, or the one of an artifact's file (`.json`). Raises CheatcodeFailure."""
    try:
        if not name.endswith(".json"):
            found = context.settings.artifacts(name)
        else:
            target = allowed_file(context, name, "read")
            is_own = target.is_relative_to((context.settings.root / context.settings.out).resolve())
            found = context.settings.artifacts(name) if is_own else ()
            if not found and target.is_file():
                found = [ContractArtifact.of(name, name, _artifact_fields(read_bytes(context, name)))]
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None
    if len(found) != 1:
        raise CheatcodeFailure("multiple matching artifacts found" if found else "no matching artifact found")
    return found[0]


def _artifact_fields(data: bytes) -> Mapping[str, Any]:
    """Return the content of an artifact of forge, Hardhat or solc in forge's form. Raises InvalidInput."""
    try:
        content = orjson.loads(data)
    except ValueError as error:
        raise InvalidInput(f"the artifact is not JSON: {error}") from None
    if not isinstance(content, dict):
        return {"abi": content}  # a bare ABI
    code = content.get("evm", content)
    found: dict[str, Any] = {"abi": content.get("abi", [])}
    for key, short in (("bytecode", "bin"), ("deployedBytecode", "")):
        value = code.get(key, content.get(short)) if isinstance(code, dict) else None
        value = value if isinstance(value, dict) else {"object": value or ""}
        if "__$" in str(value.get("object")):
            raise InvalidInput("expected bytecode, found unlinked bytecode with a placeholder")
        found[key] = {"object": value.get("object", "")}
    return found


def _linked(context: Context, code: Bytecode) -> bytes:
    try:
        linked = code.link(context.settings.libraries)
    except (KeyError, ValueError):
        linked = b""
    if not linked:
        raise CheatcodeFailure("no bytecode for contract; is it abstract or unlinked?")
    return linked


@cheatcode("getCode(string)", returns="bytes")
def creation_code(context: Context, name: str) -> bytes:
    """Return the linked creation code of a contract of the project. Raises CheatcodeFailure."""
    return _linked(context, _artifact(context, name).creation)


@cheatcode("getSelectors(string)", returns="bytes4[]")
def _get_selectors(context: Context, name: str) -> Sequence[bytes]:
    functions = [entry for entry in _artifact(context, name).abi if entry.get("type") == "function"]
    try:
        return [selector_of(entry) for entry in sorted(functions, key=lambda entry: str(entry.get("name")))]
    except (KeyError, TypeError, AttributeError):
        raise CheatcodeFailure(f"the ABI of {name} has a function without its name or types") from None


@cheatcode("getDeployedCode(string)", returns="bytes")
def _get_deployed_code(context: Context, name: str) -> bytes:
    return _linked(context, _artifact(context, name).runtime)


def _deploy(*kinds: str) -> None:
    """Register `deployCode` with these parameters: the constructor's arguments, the value, the salt of CREATE2."""

    def deploy(context: Context, name: str, *values: Any) -> EthAddress:
        given = dict(zip(kinds, values, strict=True))
        code = creation_code(context, name) + given.get("bytes", b"")
        return context.create(code, given.get("uint256", 0), given.get("bytes32"))

    cheatcode(f"deployCode({','.join(('string', *kinds))})", returns="address")(deploy)


for _count in range(4):
    for _kinds in combinations(("bytes", "uint256", "bytes32"), _count):
        _deploy(*_kinds)


@cheatcode("interceptInitcode()")
def _intercept(context: Context) -> None:
    context.state.intercept_code = True
