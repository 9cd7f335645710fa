#!/usr/bin/env bash
# build.sh DIR: builds the agent and the lab for this machine into DIR.
set -euo pipefail

cd "$(dirname "$0")/../.."
mkdir -p "$1"
CGO_ENABLED=0 go build -trimpath -o "$1/" ./cmd/multica-rollup ./cmd/multica-lab
