#!/usr/bin/env bash
# docs.sh DIRECTORY: writes README and guide into DIRECTORY as the packages have them, with links that lead to where
# the packages put the examples, and for what is in no package to the repository. Called by generate.sh.
set -euo pipefail

out=${1:?usage: docs.sh DIRECTORY}
cd "$(dirname "$0")/.."
readonly REPOSITORY=https://github.com/multica-rollup/multica-rollup/blob/main

mkdir -p "$out/docs"
for page in README.md README.zh-CN.md; do
  sed -E -e 's#\]\(configs/#](examples/#g' \
    -e "s#\]\((docs/(guide(\.zh-CN)?\.md)[^)]*)\)#](@\1)#g" \
    -e "s#\]\(((docs/|LICENSE|CHANGELOG|CONTRIBUTING|SECURITY)[^)]*)\)#]($REPOSITORY/\1)#g" \
    -e 's#\]\(@#](#g' "$page" >"$out/$page"
done
for page in docs/guide.md docs/guide.zh-CN.md; do
  sed -E -e 's#\]\(\.\./configs/#](../examples/#g' \
    -e "s#\]\(\.\./((docs/|LICENSE|CHANGELOG|CONTRIBUTING|SECURITY)[^)]*)\)#]($REPOSITORY/\1)#g" \
    -e "s#\]\(((architecture|benchmarks|decisions|releasing)[^)]*)\)#]($REPOSITORY/docs/\1)#g" "$page" >"$out/$page"
done
