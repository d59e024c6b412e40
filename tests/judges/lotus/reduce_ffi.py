"""Reduce the sources of filecoin-ffi 1.36 to what Lotus with mock proofs needs: reduce_ffi.py FOLDER.

FVM 4 remains, which executes network versions 21 and later; FVM 2 and 3 go, each with a wasmtime of its own. The
generator of the C header becomes a program, so that one build is enough.
"""

import re
import sys
from pathlib import Path

_OLD_ENGINES = (
    (r"(?s)// fvm v3 implementation.*", ""),
    (r"use fvm[23]::.*\n", ""),
    (r"    V1,\n    V2,\n    V3,", "    V3,"),
    (r" +16 \| 17 =>.*\n +18\.\.=20 =>.*\n", ""),
    (r" +EngineVersion::V1 => \{\n.*\n +\}\n +EngineVersion::V2 =>.*\n.*\n", ""),
)
_OLD_EXTERNS = (
    (r"use fvm[23]::.*\n", ""),
    (r"use fvm[23]_shared::consensus::\{\n.*\n\};\n", ""),
    (r"use fvm[23]_shared::.*\n", ""),
    (r"(?s)impl (Rand|Consensus|Chain)[23] for CgoExterns \{\n.*?\n\}\n", ""),
    (r"impl Externs[23].*\n", ""),
)
_CARGO = (
    (r"fvm[23](_shared)? = .*\n", ""),
    (r' +"fvm[23](_shared)?(/.*)?",\n', ""),
    (r'(crate-type = \["rlib", "staticlib"\])', r'\1\n\n[[bin]]\nname = "headers"\nrequired-features = ["c-headers"]'),
    (r"\Z", "\n[profile.dev]\ndebug = 0\nopt-level = 1\nincremental = false\n"),
)
_CHANGES = {
    "src/fvm/engine.rs": _OLD_ENGINES,
    "src/fvm/externs.rs": _OLD_EXTERNS,
    "src/fvm/blockstore/cgo.rs": ((r"fvm3_shared", "fvm4_shared"),),
    "Cargo.toml": _CARGO,
    "src/lib.rs": ((r"#\[test\]\nfn build_headers", "pub fn build_headers"),),
}


def main(root: Path) -> None:
    for name, changes in _CHANGES.items():
        text = (root / name).read_text(encoding="utf-8")
        for pattern, replacement in changes:
            text = re.sub(pattern, replacement, text)
        (root / name).write_text(text, encoding="utf-8")
    (root / "src" / "bin").mkdir(exist_ok=True)
    (root / "src" / "bin" / "headers.rs").write_text("fn main() { filcrypto::build_headers().unwrap() }\n")
    (root / "rust-toolchain.toml").unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "rust")
