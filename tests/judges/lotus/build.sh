#!/bin/bash
# Build Lotus as a judge: build.sh FOLDER VERSION. Needs Go 1.25, Rust 1.94, gcc and zstd; all sources come from the
# proxies of Go's modules and Rust's crates. FOLDER/judge is the program, FOLDER/lotus/itests/judge its working folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$2
mkdir -p "$1"
cd "$1"

source_of() { # module, folder
  [ -d "$2" ] && return
  found=$(go mod download -json "$1@v$version" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  cp -r "$found" "$2.part"
  chmod -R u+w "$2.part"
  [ "$2" = lotus ] || python3 "$here/reduce_ffi.py" "$2.part"
  mv "$2.part" "$2"
}
source_of github.com/filecoin-project/lotus lotus
source_of github.com/filecoin-project/filecoin-ffi filecoin-ffi

(
  cd filecoin-ffi/rust
  HEADER_DIR=.. RUSTFLAGS="--print native-static-libs" cargo build --no-default-features --features fvm,c-headers 2>&1 |
    tee ../build.log
  libraries=$(sed -n 's/.*native-static-libs: //p' ../build.log | tail -1)
  libraries=${libraries:--lgcc_s -lutil -lrt -lpthread -lm -ldl -lc}
  CARGO_PKG_NAME=filcrypto HEADER_DIR=.. target/debug/headers
  cp target/debug/libfilcrypto.a ..
  sed -e "s;@VERSION@;$version;" -e "s;@PRIVATE_LIBS@;$libraries;" filcrypto.pc.template >../filcrypto.pc
)
cd lotus
sed -i 's#=> ./extern/filecoin-ffi.*#=> ../filecoin-ffi#; /test-vectors => /d' go.mod
mkdir -p itests/judge
cp "$here/judge_test.go" itests/judge/
GOFLAGS="-buildvcs=false -mod=mod" go test -c -o ../judge.part ./itests/judge
mv ../judge.part ../judge
