#!/usr/bin/env bash
# kubernetes.sh [--update]: lints the Helm chart, compares what it makes of packaging/dev/kubernetes/testdata/values
# with the golden files beside, sees that values in refused/ are refused, and validates all manifests against the
# schemas of several releases of Kubernetes, offline. --update writes the golden files.
#
# helm and kubectl-validate are Go modules that take minutes to build, so this is part of make e2e and make nightly,
# and not of each change; configs/chart_test.go tells when the golden files are not those of the chart.
set -euo pipefail

cd "$(dirname "$0")/../.."
readonly CHART=configs/helm/multica-rollup DATA=packaging/dev/kubernetes/testdata
update=
[ "${1:-}" != --update ] || update=1

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
tools=${KUBERNETES_TOOLS:-} # a directory that has both, built already
if [ -z "$tools" ]; then
  tools=$work
  # A module each: they want different versions of Kubernetes' libraries.
  CGO_ENABLED=0 nice go -C packaging/dev/kubernetes build -o "$work/" helm.sh/helm/v3/cmd/helm
  CGO_ENABLED=0 nice go -C packaging/dev/validate build -o "$work/" sigs.k8s.io/kubectl-validate
fi
# Of nobody's configuration, and without a cluster.
export HELM_CONFIG_HOME=$work/config HELM_CACHE_HOME=$work/cache HELM_DATA_HOME=$work/data KUBECONFIG=/dev/null

status=0
fail() {
  printf 'kubernetes: %s\n' "$*" >&2
  status=1
}

chart_sum() { # of every file of the chart, as configs/chart_test.go computes it
  (cd "$CHART" && find . -type f | LC_ALL=C sort | xargs sha256sum) | sha256sum | cut -d ' ' -f 1
}

manifests=(configs/kubernetes/*.yaml)
for values in "$DATA"/values/*.yaml; do
  name=$(basename "$values" .yaml)
  "$tools/helm" lint --strict --quiet --values "$values" "$CHART" || fail "helm lint is not content with $values"
  made=$work/$name.yaml golden=$DATA/$name.golden.yaml
  {
    echo "# The chart with values/$name.yaml. packaging/dev/kubernetes.sh --update writes it."
    echo "# chart $(chart_sum)"
    "$tools/helm" template multica-rollup "$CHART" --namespace multica --kube-version 1.30.0 --values "$values"
  } >"$made" || fail "helm template fails with $values"
  if [ -n "$update" ]; then
    cp -- "$made" "$golden"
  elif ! diff -u "$golden" "$made" >&2; then
    fail "$golden is not what the chart makes: packaging/dev/kubernetes.sh --update, and look at what it changes"
  fi
  manifests+=("$golden")
done
for values in "$DATA"/refused/*.yaml; do
  if "$tools/helm" template multica-rollup "$CHART" --values "$values" >/dev/null 2>&1; then
    fail "the chart takes $values"
  fi
done

for version in 1.27 1.30; do
  said=$("$tools/kubectl-validate" --version "$version" --local-crds "$DATA/crds" "${manifests[@]}" 2>&1) ||
    fail "Kubernetes $version would refuse: $said"
done

[ "$status" -eq 0 ] && echo "kubernetes: the chart and ${#manifests[@]} manifests are valid"
exit "$status"
