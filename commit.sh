#!/bin/bash
# commit.sh MESSAGE PATCHFILE|- PATHS... : commits whole PATHS and the hunks of PATCHFILE, nothing else
set -euo pipefail
cd /work/main
[ -e /tmp/team/FREEZE ] && { echo FREEZE; exit 1; }
msg=$1 patch=$2; shift 2
export GIT_INDEX_FILE=/tmp/mine/index
rm -f $GIT_INDEX_FILE
head=$(git rev-parse HEAD)
git read-tree $head
git add -- "$@"
[ "$patch" = - ] || git apply --cached "$patch"
tree=$(git write-tree)
commit=$(git commit-tree $tree -p $head -m "$msg")
git update-ref refs/heads/main $commit $head
unset GIT_INDEX_FILE
git add -- "$@"
[ "$patch" = - ] || git apply --cached "$patch"
git show --stat --format='%h %s' HEAD | tail -40
