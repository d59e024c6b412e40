"""Builds the bundle of built-in actors from their Rust sources, and compares it with the committed bundle.

    python scripts/build_guests.py     rebuild, compare, and write changed files; the last line is IDENTICAL or
                                       `CHANGED, and written`
      --check                          the same without writing; exit code 1 if anything differs
      --engine                         the same for the EVM engine's guests only (`runtimes/evm/guests`)

A code CID is a hash of the compiler's output, so the compiler is pinned (`rust-toolchain.toml`), its flags are
fixed, and local paths are remapped. Without that compiler, only source hashes are compared, and the last line starts
with NOT REBUILT. Standalone crates (`STANDALONE`) are built and compared in the same way. They are examples, the actor
template, a test actor, the bn254 precompile and the EVM engine's guests. The script uses only Python's standard
library, and needs rustup to rebuild.

The bundle has the format of Filecoin's official bundles: a CARv1 with one root `[1, data]`, where data is a list of
`[name, code CID]` in the order of the actor types, followed by the code blocks.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
ACTORS = PROJECT / "hypervisor" / "builtin_actors"
GUESTS = ACTORS / "guests"
COUNTER = PROJECT / "examples" / "counter"
TEMPLATE = ACTORS / "template" / "tip_jar"
BN254 = PROJECT / "runtimes" / "evm" / "guests" / "bn254"
ORACLE = PROJECT / "examples" / "oracle"
CALLER = PROJECT / "tests" / "hypervisor" / "builtin_actors" / "contract_caller"
FRAMES = PROJECT / "runtimes" / "evm" / "guests" / "frames"
REVM = PROJECT / "runtimes" / "evm" / "guests" / "revm"
# Engines of the integrations, beside the module that loads them.
ENGINES = (FRAMES, REVM, *(path.parent for path in sorted(PROJECT.glob("integrations/*/hypervisor_*/*/Cargo.toml"))))
STANDALONE = (COUNTER, ORACLE, TEMPLATE, CALLER, BN254, *ENGINES)
# Crates that do not have the name of their folder. `revm` is a dependency of its folder's crate.
CRATES = {REVM: "revm-session"}
# Cargo features of standalone crates. Each feature gets one more build, `<crate>-<feature>.wasm`.
FEATURES: dict[Path, tuple[str, ...]] = {TEMPLATE: ("upgradable", "v2")}
# Further sources of a standalone crate, included in its source hash: its workspace files and crates of this repository.
WORKSPACE = (PROJECT / "Cargo.toml", PROJECT / "Cargo.lock")
CONTRACT_CALLS = (*WORKSPACE, GUESTS / "runtime", ACTORS / "contract_calls")
SHARED_SOURCES: dict[Path, tuple[Path, ...]] = {
    ORACLE: CONTRACT_CALLS,
    CALLER: CONTRACT_CALLS,
    REVM: (BN254 / "src" / "curve.rs", FRAMES / "src" / "entries.rs"),
}
BUILD = PROJECT / "build" / "guests"
TARGET = "wasm32-unknown-unknown"

# Official actor names in official order, with the crate of each. An actor's type number is its position, from 1.
MANIFEST = {
    "system": "system_actor",
    "init": "init_actor",
    "cron": "cron_actor",
    "account": "account_actor",
    "storagepower": "storagepower_actor",
    "storageminer": "storageminer_actor",
    "storagemarket": "storagemarket_actor",
    "paymentchannel": "paymentchannel_actor",
    "multisig": "multisig_actor",
    "reward": "reward_actor",
    "verifiedregistry": "verifiedregistry_actor",
    "datacap": "datacap_actor",
    "placeholder": "placeholder_actor",
    "evm": "evm_marker",
    "eam": "eam_actor",
    "ethaccount": "ethaccount_actor",
}

# The version of builtin-actors that the bundle follows.
VERSION = 18
V19_ACTORS = ("storageminer", "storagemarket", "reward", "verifiedregistry", "datacap")


@dataclass(frozen=True)
class Variant:
    """A bundle in which some actors are built with features.

    Its file holds only the code that differs from the variant `base`, or from the main bundle if that is None.
    """

    version: int
    features: tuple[str, ...]
    actors: tuple[str, ...]
    base: str | None = None


VARIANTS = {
    "supply-share": Variant(18, ("supply-share",), ("storageminer",)),
    "v19": Variant(19, ("v19",), V19_ACTORS),
    "m2-native": Variant(18, ("m2-native",), ("init",)),
    "v19-m2-native": Variant(19, ("m2-native",), ("init",), "v19"),
}

# Rust enables multi-value and reference types by default, but the FVM rejects them. The mvp target turns them off.
# `--compress-relocations` shortens the five-byte padded LEB128 table indexes of the precompiled standard library.
# A stack of 256 KiB is more than the VM's stack limit lets a program use; a larger one would cost gas for memory pages.
FLAGS = (
    "-Ctarget-cpu=mvp",
    "-Ctarget-feature=+bulk-memory,+sign-ext,+mutable-globals",
    "-Clink-arg=--compress-relocations",
    "-Clink-arg=-zstack-size=262144",
)

# The engines are no actors, so they may use all WASM features that `own_engine` enables (`runtimes.wasmtime.engine`).
# Wide arithmetic is off: LLVM before 23 reads a local before the instruction that sets it, and so sums of 128 bits lost
# their upper half (llvm/llvm-project#199910).
ENGINE_FLAGS = (
    "-Ctarget-feature=+bulk-memory,+sign-ext,+mutable-globals,+simd128",
    "-Clink-arg=-zstack-size=262144",
    # Compiled regions are added to the function table at run time (runtimes/evm/regions).
    "-Clink-arg=--export-table",
    "-Clink-arg=--growable-table",
)

RAW, DAG_CBOR, BLAKE2B_256 = 0x55, 0x71, 0xB220


class ToolchainMissing(Exception):
    """Raised if rustup, the pinned compiler, its WASM target or a crate is missing.

    The message says how to install it.
    """


@dataclass(frozen=True)
class BundleBuild:
    """Compiler output: modules in manifest order, modules that differ in each variant, and standalone modules."""

    modules: dict[str, bytes]
    variants: dict[str, dict[str, bytes]]
    standalone: dict[Path, "StandaloneBuild"]


@dataclass(frozen=True)
class StandaloneBuild:
    """Modules of a standalone crate: the build without features, and one build per feature."""

    module: bytes
    featured: dict[str, bytes]


def main() -> int:
    """Compare a new build with the committed files, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing; exit code 1 if anything differs")
    options.add_argument("--engine", action="store_true", help="build the EVM engine's guests only")
    chosen = options.parse_args()
    check: bool = chosen.check
    folders = ENGINES if chosen.engine else (GUESTS, *STANDALONE)
    try:
        compiler = find_compiler(folders)
    except ToolchainMissing as missing:
        return report_not_rebuilt(str(missing), folders)
    try:
        fresh = (
            {
                path: content
                for folder in ENGINES
                for path, content in standalone_outputs(folder, compile_standalone(folder), compiler).items()
            }
            if chosen.engine
            else outputs(build(), compiler)
        )
    except subprocess.CalledProcessError:
        print("compiling the guests failed: see cargo's output above")
        return 1
    different = [path for path, content in fresh.items() if not path.exists() or path.read_bytes() != content]
    if not different:
        print("IDENTICAL")
        return 0
    describe(different, fresh)
    if not check:
        for path in different:
            path.write_bytes(fresh[path])
    print("CHANGED" if check else "CHANGED, and written")
    return int(check)


# --- the compiler -----------------------------------------------------------------------------------------------------


def toolchain() -> str:
    """Return the version of the pinned compiler, which is also the name of its rustup toolchain."""
    return str(tomllib.loads((GUESTS / "rust-toolchain.toml").read_text())["toolchain"]["channel"])


def find_compiler(folders: tuple[Path, ...] = (GUESTS, *STANDALONE)) -> str:
    """Return the version line of the pinned compiler. Also download the dependencies of `folders` with `cargo fetch`.

    Raises ToolchainMissing.
    """
    remedy = f"rustup toolchain install {toolchain()} --profile minimal --target {TARGET}"
    if shutil.which("rustup") is None:
        raise ToolchainMissing(f"rustup is not installed: install it, then run `{remedy}`")
    try:
        version = run_compiler("--version")
    except subprocess.CalledProcessError:
        raise ToolchainMissing(f"Rust {toolchain()} is not installed: run `{remedy}`") from None
    if not (sysroot() / "lib" / "rustlib" / TARGET / "lib").is_dir():
        raise ToolchainMissing(f"Rust's target {TARGET} is not installed: run `{remedy}`")
    for workspace in folders:
        fetch = ["rustup", "run", toolchain(), "cargo", "fetch", "--quiet", "--locked", "--target", TARGET]
        if subprocess.run(fetch, env=environment(), cwd=workspace).returncode != 0:
            raise ToolchainMissing(f"cargo cannot fetch the crates in {workspace.name}/Cargo.lock")
    return version


def run_compiler(arguments: str) -> str:
    """Run the pinned compiler with space-separated arguments and return its output."""
    command = ["rustup", "run", toolchain(), "rustc", *arguments.split()]
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return done.stdout.strip()


def sysroot() -> Path:
    """Return the sysroot of the pinned compiler."""
    return Path(run_compiler("--print sysroot"))


def environment(**more: str) -> dict[str, str]:
    """Return the environment for rustup and cargo, with automatic toolchain installation disabled."""
    return os.environ | {"RUSTUP_AUTO_INSTALL": "0", "CARGO_INCREMENTAL": "0", "CARGO_TARGET_DIR": str(BUILD)} | more


def build() -> BundleBuild:
    """Compile every guest.

    Variants come first, because all builds of a crate share one output path and the plain build must remain.
    """
    variants = {
        name: {actor: compile_crate(GUESTS, MANIFEST[actor], variant.features) for actor in variant.actors}
        for name, variant in VARIANTS.items()
    }
    modules = {name: compile_crate(GUESTS, crate) for name, crate in MANIFEST.items()}
    return BundleBuild(modules, variants, {folder: compile_standalone(folder) for folder in STANDALONE})


def compile_standalone(folder: Path) -> StandaloneBuild:
    """Compile a crate that is not part of the bundle; the build without features comes last, as in `build`."""
    crate = CRATES.get(folder, folder.name)
    featured = {name: compile_crate(folder, crate, (name,)) for name in FEATURES.get(folder, ())}
    return StandaloneBuild(compile_crate(folder, crate), featured)


def flags_of(workspace: Path) -> tuple[str, ...]:
    """Return the compiler flags for the crates of a folder."""
    return ENGINE_FLAGS if workspace in ENGINES else FLAGS


def compile_crate(workspace: Path, crate: str, features: tuple[str, ...] = ()) -> bytes:
    """Compile one crate of a workspace with the given features, and return its module."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    remapped = {PROJECT: "/project", cargo_home: "/cargo", sysroot() / "lib/rustlib/src/rust": "/rust"}
    flags = [*flags_of(workspace), *(f"--remap-path-prefix={path}={name}" for path, name in remapped.items())]
    command = ["rustup", "run", toolchain(), "cargo", "build", "--quiet", "--locked", "--release"]
    subprocess.run(
        [*command, "--target", TARGET, "--package", crate, "--features", ",".join(features)],
        env=environment(CARGO_ENCODED_RUSTFLAGS="\x1f".join(flags)),
        cwd=workspace,
        check=True,
    )
    return (BUILD / TARGET / "release" / f"{crate.replace('-', '_')}.wasm").read_bytes()


# --- the committed files ----------------------------------------------------------------------------------------------


def outputs(built: BundleBuild, compiler: str) -> dict[Path, bytes]:
    """Return the path and content of every generated file that is committed."""
    bundle, roots = write_bundle(built.modules, list(built.modules))
    record: dict[str, Any] = {
        "version": VERSION,
        **roots,
        "source_hash": source_hash(GUESTS),
        "compiler": compiler,
        "flags": list(FLAGS),
        "actors": {name: record_of(module) for name, module in built.modules.items()},
        "variants": {},
    }
    files = {ACTORS / "bundle.car": bundle}
    for name, others in built.variants.items():
        variant = VARIANTS[name]
        below = {} if variant.base is None else built.variants[variant.base]
        files[ACTORS / f"{name}.car"], roots = write_bundle(built.modules | below | others, list(others))
        actors = {actor: record_of(module) for actor, module in (below | others).items()}
        record["variants"][name] = {"version": variant.version, "base": variant.base, **roots, "actors": actors}
    files[ACTORS / "bundle.json"] = write_json(record)
    for folder, crate in built.standalone.items():
        files |= standalone_outputs(folder, crate, compiler)
    return files


def write_bundle(modules: dict[str, bytes], included: list[str]) -> tuple[bytes, dict[str, str]]:
    """Return a CAR and the CIDs of its manifest.

    The manifest lists all modules; the CAR contains only those in `included`.
    """
    codes = {name: make_cid(RAW, module) for name, module in modules.items()}
    data = encode_list([encode_list([encode_text(name), encode_link(code)]) for name, code in codes.items()])
    data_cid = make_cid(DAG_CBOR, data)
    root = encode_list([encode_head(0, 1), encode_link(data_cid)])
    root_cid = make_cid(DAG_CBOR, root)
    blocks = {root_cid: root, data_cid: data} | {codes[name]: modules[name] for name in included}
    return write_car(root_cid, blocks), {"manifest_root": show_cid(root_cid), "manifest_data": show_cid(data_cid)}


def record_of(module: bytes) -> dict[str, Any]:
    """Return the record of a module: its CID and its size in bytes."""
    return {"cid": show_cid(make_cid(RAW, module)), "size": len(module)}


def standalone_outputs(folder: Path, built: StandaloneBuild, compiler: str) -> dict[Path, bytes]:
    """Return the committed files of a standalone crate: its modules and their record."""
    record = {
        **record_of(built.module),
        "source_hash": source_hash(folder),
        "compiler": compiler,
        "flags": list(flags_of(folder)),
    }
    if built.featured:
        record["features"] = {feature: record_of(module) for feature, module in built.featured.items()}
    files = {module_file(folder, feature): module for feature, module in built.featured.items()}
    return {**files, module_file(folder): built.module, folder / f"{folder.name}.json": write_json(record)}


def module_file(folder: Path, feature: str | None = None) -> Path:
    """Return the committed path of the module of a separate crate."""
    return folder / (f"{folder.name}.wasm" if feature is None else f"{folder.name}-{feature}.wasm")


def source_hash(workspace: Path) -> str:
    """Return the SHA-256 of the compiler flags and of the path and content of every source file, in a fixed order."""
    digest = hashlib.sha256("\n".join(flags_of(workspace)).encode())
    found = [path for path in workspace.rglob("*") if is_source(path)]
    for used in SHARED_SOURCES.get(workspace, ()):
        found += [used] if used.is_file() else [path for path in used.rglob("*") if is_source(path)]
    paths = {Path(os.path.relpath(path, workspace)).as_posix(): path for path in found}
    for name, path in sorted(paths.items()):
        content = path.read_bytes()
        digest.update(f"\n{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def is_source(path: Path) -> bool:
    """Return True if a file is a source of the build."""
    return path.suffix in (".rs", ".toml", ".lock") and "target" not in path.parts


def read_record(path: Path) -> dict[str, Any]:
    """Return a committed record; empty if it does not exist yet."""
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def report_not_rebuilt(reason: str, folders: tuple[Path, ...]) -> int:
    """Print the folders whose sources differ from their committed record; return 1 if there are any, else 0.

    Used when the compiler is not available.
    """
    records = {GUESTS: ACTORS / "bundle.json"} | {folder: folder / f"{folder.name}.json" for folder in STANDALONE}
    changed = [
        folder
        for folder, record in records.items()
        if folder in folders and read_record(record).get("source_hash") != source_hash(folder)
    ]
    for folder in changed:
        print(f"{folder.relative_to(PROJECT)}: the sources have changed since the committed build")
    print(f"NOT REBUILT: {reason}")
    return int(bool(changed))


def describe(different: list[Path], fresh: dict[Path, bytes]) -> None:
    """Print the files that differ and the changed entries of their JSON records."""
    for path in different:
        print(f"{path.relative_to(PROJECT)} differs")
        if path.suffix == ".json":
            old, new = read_record(path), json.loads(fresh[path])
            old_actors, new_actors = old.pop("actors", {}), new.pop("actors", {})
            for key, before, now in [
                *((key, old.get(key), new[key]) for key in new),
                *((name, old_actors.get(name), new_actors[name]) for name in new_actors),
            ]:
                if before != now:
                    print(f"  {key}: {before} -> {now}")


# --- formats: just enough CBOR, CID and CAR to write a bundle ---------------------------------------------------------


def encode_head(major: int, number: int) -> bytes:
    """Encode the head of a CBOR item, its major type and a number, in the shortest form."""
    if number < 24:
        return bytes([major << 5 | number])
    power = next(power for power in range(4) if number < 1 << (8 << power))
    return bytes([major << 5 | 24 + power]) + number.to_bytes(1 << power, "big")


def encode_text(text: str) -> bytes:
    """Encode a CBOR text string."""
    return encode_head(3, len(text.encode())) + text.encode()


def encode_list(items: list[bytes]) -> bytes:
    """Encode a CBOR array of encoded items."""
    return encode_head(4, len(items)) + b"".join(items)


def encode_link(cid: bytes) -> bytes:
    """Encode a CID as a DAG-CBOR link."""
    return encode_head(6, 42) + encode_head(2, len(cid) + 1) + b"\x00" + cid


def encode_varint(number: int) -> bytes:
    """Encode an unsigned LEB128 varint."""
    rest, low = number >> 7, number & 0x7F
    return bytes([low]) if rest == 0 else bytes([low | 0x80]) + encode_varint(rest)


def make_cid(codec: int, content: bytes) -> bytes:
    """Return the CIDv1 of `content`, hashed with BLAKE2b-256."""
    digest = hashlib.blake2b(content, digest_size=32).digest()
    return b"\x01" + encode_varint(codec) + encode_varint(BLAKE2B_256) + encode_varint(len(digest)) + digest


def show_cid(cid: bytes) -> str:
    """Return the base32 text form of a CID."""
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def write_car(root: bytes, blocks: dict[bytes, bytes]) -> bytes:
    """Encode a CARv1 file with one root."""
    header = [encode_text("roots"), encode_list([encode_link(root)]), encode_text("version"), encode_head(0, 1)]
    sections = [encode_head(5, 2) + b"".join(header), *(cid + content for cid, content in blocks.items())]
    return b"".join(encode_varint(len(section)) + section for section in sections)


def write_json(record: object) -> bytes:
    """Encode a record as indented JSON."""
    return (json.dumps(record, indent=2) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
