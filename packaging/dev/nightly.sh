#!/usr/bin/env bash
# What is too slow for every change. The race detector needs a C compiler.
set -euo pipefail

cd "$(dirname "$0")/../.."
CGO_ENABLED=1 packaging/dev/test.sh -race -count=1 -timeout 2h ./...
packaging/dev/test-postgres.sh 18
MULTICA_PROOF_SEQUENCES=${MULTICA_PROOF_SEQUENCES:-1000} MULTICA_PROOF_SEED=${MULTICA_PROOF_SEED:-$(date +%s)} \
  MULTICA_PROOF_THOROUGH=1 MULTICA_PROOF_SOAK=${MULTICA_PROOF_SOAK:-10m} packaging/dev/test.sh -count=1 -timeout 6h ./internal/proof/...
MULTICA_NEAR_DSNS=${MULTICA_NEAR_DSNS:-1000000} packaging/dev/test.sh -count=1 -timeout 3h -run TestNothingOfANearDSNIsShown ./internal/cli
packaging/dev/fuzz.sh
packaging/dev/kubernetes.sh
packaging/e2e/run.sh
packaging/goreleaser-compare.sh
