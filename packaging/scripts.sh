#!/usr/bin/env bash
# scripts.sh DIRECTORY: writes the maintainer scripts into DIRECTORY/deb and DIRECTORY/rpm, from those in
# packaging/, with the units that systemd/ has in the place of
#   @TIMERS@ @SERVICES@                      units, such as multica-rollup.timer
#   @TIMER_INSTANCES@ @SERVICE_INSTANCES@    templates' instances, as patterns in quotes: 'multica-rollup@*.timer'
#   @TIMER_TEMPLATES@                        the names of templates, such as multica-rollup@
# Called by generate.sh.
set -euo pipefail
export LC_ALL=C # the order of the units

out=${1:?usage: scripts.sh DIRECTORY}
cd "$(dirname "$0")/.."

declare -A list=([TIMERS]="" [SERVICES]="" [TIMER_INSTANCES]="" [SERVICE_INSTANCES]="" [TIMER_TEMPLATES]="")
add() { # LIST WORD
  list[$1]+="${list[$1]:+ }$2"
}
for file in systemd/*.timer systemd/*.service; do
  unit=${file##*/}
  kind=${unit##*.}
  case $unit in
    *@.*)
      add "${kind^^}_INSTANCES" "'${unit%.*}*.$kind'"
      [ "$kind" = service ] || add TIMER_TEMPLATES "${unit%.*}"
      ;;
    *) add "${kind^^}S" "$unit" ;;
  esac
done

substitutions=()
for name in "${!list[@]}"; do
  substitutions+=(-e "s|@$name@|${list[$name]}|g")
done
for script in packaging/deb/p* packaging/rpm/p*.sh; do
  to=$out/${script#packaging/}
  mkdir -p "$(dirname "$to")"
  sed "${substitutions[@]}" "$script" >"$to"
  chmod 0755 "$to"
done
