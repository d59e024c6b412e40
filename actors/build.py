"""Builds the bundle of built-in actors from the Rust sources beside it, and says whether it is the committed one.

    python actors/build.py           rebuild, compare, write what changed; the last line is IDENTICAL or CHANGED
    python actors/build.py --check   the same without writing; exit code 1 if anything differs

A code CID is a hash of the compiler's output, so one exact compiler is used (`guests/rust-toolchain.toml`), with fixed
flags and no path of this machine in its output. Where that compiler is missing only the hash of the sources is
compared, and the last line is NOT REBUILT. This tool needs Python alone and imports no package of the project.

The bundle's form is the one of the network's bundles: a CARv1 with one root `[1, data]`, where data is a list of
`[name, code CID]` in the order of the actor types, followed by the code blocks.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ACTORS = Path(__file__).resolve().parent
PROJECT = ACTORS.parent
GUESTS = ACTORS / "guests"
COUNTER = PROJECT / "examples" / "counter"
TARGET = "wasm32-unknown-unknown"

# The official names in the official order; a place in this list is an actor's type number. Each is built from the
# crate named beside it; `absent` stands for the actors that the bundle does not offer.
MANIFEST = {
    "system": "system_actor",
    "init": "init_actor",
    "cron": "absent_actor",
    "account": "account_actor",
    "storagepower": "absent_actor",
    "storageminer": "absent_actor",
    "storagemarket": "absent_actor",
    "paymentchannel": "absent_actor",
    "multisig": "absent_actor",
    "reward": "absent_actor",
    "verifiedregistry": "absent_actor",
    "datacap": "absent_actor",
    "placeholder": "placeholder_actor",
    "evm": "evm_marker",
    "eam": "eam_actor",
    "ethaccount": "ethaccount_actor",
}

# No feature that the consensus engine refuses: multi-value and reference types are on by default. The compressed
# relocations turn the five-byte table numbers of the precompiled standard library into plain ones. 256 KiB of stack
# are far more than the VM's own stack limit lets a guest use.
FLAGS = (
    "-Ctarget-cpu=mvp",
    "-Ctarget-feature=+bulk-memory,+sign-ext,+mutable-globals",
    "-Clink-arg=--compress-relocations",
    "-Clink-arg=-zstack-size=262144",
    "-Clink-arg=--no-export-dynamic",
)

RAW, DAG_CBOR = 0x55, 0x71


class ToolchainMissing(Exception):
    """The pinned compiler is not on this machine."""


@dataclass(frozen=True)
class Artifacts:
    """What a build makes: the modules of the bundle by actor name, and the example actor."""

    modules: dict[str, bytes]
    counter: bytes


def main() -> int:
    """Compares a fresh build with the committed files; returns the process's exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing")
    check = options.parse_args().check
    try:
        compiler = find_compiler()
    except ToolchainMissing as missing:
        return report_not_rebuilt(str(missing))
    artifacts = build()
    committed, fresh = read_outputs(), outputs(artifacts, compiler)
    different = [path for path, data in fresh.items() if committed.get(path) != data]
    if not different:
        print("IDENTICAL")
        return 0
    describe_changes(committed, fresh)
    if not check:
        for path in different:
            path.write_bytes(fresh[path])
    print("CHANGED", "(not written)" if check else "(written)")
    return int(check)


# ---- the compiler


def toolchain() -> str:
    """The pinned toolchain's name, as rustup knows it."""
    return str(tomllib.loads((GUESTS / "rust-toolchain.toml").read_text())["toolchain"]["channel"])


def find_compiler() -> str:
    """The version line of the pinned compiler; `ToolchainMissing` says how to get it."""
    remedy = f"rustup toolchain install {toolchain()} --profile minimal --target {TARGET}"
    if shutil.which("rustup") is None:
        raise ToolchainMissing(f"rustup is not installed; with it: {remedy}")
    try:
        version = run_rust("rustc", "--version")
        if not (Path(sysroot()) / "lib" / "rustlib" / TARGET / "lib").is_dir():
            raise ToolchainMissing(f"the target {TARGET} is missing: {remedy}")
    except subprocess.CalledProcessError as error:
        raise ToolchainMissing(f"Rust {toolchain()} is not installed: {remedy}") from error
    return version


def run_rust(*command: str) -> str:
    environment = os.environ | {"RUSTUP_AUTO_INSTALL": "0"}
    done = subprocess.run(  # noqa: S603
        ["rustup", "run", toolchain(), *command],  # noqa: S607
        env=environment, cwd=GUESTS, check=True, capture_output=True, text=True,
    )
    return done.stdout.strip()


def sysroot() -> str:
    return run_rust("rustc", "--print", "sysroot")


def build() -> Artifacts:
    """Compiles every guest; the absent actors' crate once for each name."""
    compile_guests({"ABSENT_ACTOR": "any"}, "--workspace")
    modules = {name: read_module(crate) for name, crate in MANIFEST.items() if crate != "absent_actor"}
    counter = read_module("counter")
    for name, crate in MANIFEST.items():
        if crate == "absent_actor":
            compile_guests({"ABSENT_ACTOR": name}, "--package", crate)
            modules[name] = read_module(crate)
    return Artifacts({name: modules[name] for name in MANIFEST}, counter)


def compile_guests(environment: dict[str, str], *what: str) -> None:
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    hidden = {PROJECT: "/project", cargo_home: "/cargo", Path(sysroot()) / "lib/rustlib/src/rust": "/rust"}
    flags = [*FLAGS, *(f"--remap-path-prefix={path}={name}" for path, name in hidden.items())]
    settings = {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "CARGO_TARGET_DIR": str(target_folder()),
        "RUSTUP_AUTO_INSTALL": "0",
        "CARGO_INCREMENTAL": "0",
    }
    command = ["rustup", "run", toolchain(), "cargo", "build", "--quiet", "--locked", "--release", "--target", TARGET]
    subprocess.run([*command, *what], env=os.environ | settings | environment, cwd=GUESTS, check=True)  # noqa: S603


def target_folder() -> Path:
    return PROJECT / "build" / "guests"


def read_module(crate: str) -> bytes:
    return (target_folder() / TARGET / "release" / f"{crate}.wasm").read_bytes()


# ---- the files


def outputs(artifacts: Artifacts, compiler: str) -> dict[Path, bytes]:
    """Every committed file that a build decides, with its content."""
    data = encode_list([encode_list([encode_text(name), encode_link(code_cid(module))]) for name, module in artifacts.modules.items()])
    data_cid = make_cid(DAG_CBOR, data)
    root = encode_list([encode_unsigned(1), encode_link(data_cid)])
    root_cid = make_cid(DAG_CBOR, root)
    codes = {code_cid(module): module for module in artifacts.modules.values()}
    record = {
        "manifest_root": show_cid(root_cid),
        "manifest_data": show_cid(data_cid),
        "source_hash": source_hash(),
        "compiler": compiler,
        "flags": list(FLAGS),
        "actors": {
            name: {"cid": show_cid(code_cid(module)), "size": len(module)} for name, module in artifacts.modules.items()
        },
    }
    counter = {
        "cid": show_cid(code_cid(artifacts.counter)), "size": len(artifacts.counter),
        "source_hash": source_hash(), "compiler": compiler,
    }
    return {
        ACTORS / "bundle.car": write_car(root_cid, [(root_cid, root), (data_cid, data), *codes.items()]),
        ACTORS / "bundle.json": show_json(record),
        COUNTER / "counter.wasm": artifacts.counter,
        COUNTER / "counter.json": show_json(counter),
    }


def read_outputs() -> dict[Path, bytes]:
    paths = (ACTORS / "bundle.car", ACTORS / "bundle.json", COUNTER / "counter.wasm", COUNTER / "counter.json")
    return {path: path.read_bytes() for path in paths if path.exists()}


def source_hash() -> str:
    """sha-256 over every source file's path and content, and the compiler's flags, in a fixed order."""
    digest = hashlib.sha256("\n".join(FLAGS).encode())
    for path in source_files():
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(PROJECT).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def source_files() -> Iterator[Path]:
    folders = (GUESTS, COUNTER)
    yield from sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".rs", ".toml", ".lock") and "target" not in p.parts)


def report_not_rebuilt(reason: str) -> int:
    """Without a compiler: do the sources at least belong to the committed bundle?"""
    recorded = json.loads((ACTORS / "bundle.json").read_text())["source_hash"]
    same = recorded == source_hash()
    print("the sources are those of the committed bundle" if same else "the sources have changed since the bundle was built")
    print(f"NOT REBUILT: {reason}")
    return 0 if same else 1


def describe_changes(committed: dict[Path, bytes], fresh: dict[Path, bytes]) -> None:
    old = json.loads(committed.get(ACTORS / "bundle.json", b"{}"))
    new = json.loads(fresh[ACTORS / "bundle.json"])
    for key in ("manifest_root", "manifest_data", "source_hash", "compiler", "flags"):
        if old.get(key) != new[key]:
            print(f"{key}: {old.get(key)} -> {new[key]}")
    for name, now in new["actors"].items():
        before = old.get("actors", {}).get(name)
        if before != now:
            print(f"{name}: {before and (before['cid'], before['size'])} -> {now['cid'], now['size']}")
    for path, data in fresh.items():
        if committed.get(path) != data:
            print(f"{path.relative_to(PROJECT)} differs")


# ---- formats: just enough CBOR, CID and CAR to write a bundle


def encode_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    size = next(power for power in range(4) if number < 1 << (8 << power))
    return bytes([major << 5 | 24 + size]) + number.to_bytes(1 << size, "big")


def encode_unsigned(number: int) -> bytes:
    return encode_head(0, number)


def encode_text(text: str) -> bytes:
    return encode_head(3, len(text.encode())) + text.encode()


def encode_list(items: list[bytes]) -> bytes:
    return encode_head(4, len(items)) + b"".join(items)


def encode_link(cid: bytes) -> bytes:
    return encode_head(6, 42) + encode_head(2, len(cid) + 1) + b"\x00" + cid


def encode_varint(number: int) -> bytes:
    rest, low = number >> 7, number & 0x7F
    return bytes([low]) if rest == 0 else bytes([low | 0x80]) + encode_varint(rest)


def make_cid(codec: int, data: bytes) -> bytes:
    digest = hashlib.blake2b(data, digest_size=32).digest()
    return b"\x01" + encode_varint(codec) + encode_varint(0xB220) + encode_varint(len(digest)) + digest


def code_cid(module: bytes) -> bytes:
    return make_cid(RAW, module)


def show_cid(cid: bytes) -> str:
    import base64

    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def write_car(root: bytes, blocks: list[tuple[bytes, bytes]]) -> bytes:
    head = encode_head(5, 2) + encode_text("roots") + encode_list([encode_link(root)]) + encode_text("version") + b"\x01"
    sections = [head, *(cid + data for cid, data in blocks)]
    return b"".join(encode_varint(len(section)) + section for section in sections)


def show_json(record: object) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
