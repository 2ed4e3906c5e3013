#!/usr/bin/env bash
# All tests that need R, on a machine with R, Seurat 5 and a Python with recall_py: R CMD check of the package, which
# runs its tests and its vignette, then the tests of the rpy2 entry. Runs in the checkout; `make test-r` calls it too.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export R_REPOSITORIES=NULL # the check need not ask a mirror
export RECALL_PY_CHECKOUT=$PWD RECALL_PY_SHARED=${RECALL_PY_SHARED:-$PWD/../shared}

(cd "$work" && R CMD build "$RECALL_PY_CHECKOUT/r_bridge") > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
check=0
(cd "$work" && R CMD check --no-manual --output="$work" recallpy_*.tar.gz) || check=$?
grep -hA 12 "Skipped tests" "$work"/recallpy.Rcheck/tests/testthat.Rout* || true
if [ "$check" != 0 ] || grep -q "WARNING" "$work/recallpy.Rcheck/00check.log"; then
    cat "$work"/recallpy.Rcheck/tests/testthat.Rout* "$work/recallpy.Rcheck/00install.out"
    echo "R CMD check found errors or warnings."
    exit 1
fi
python -m pytest -p no:cacheprovider -m r tests
