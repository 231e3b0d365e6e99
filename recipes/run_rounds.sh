#!/usr/bin/env bash
# Does a better teacher make better pseudo-labels? The student of each round is the teacher of the next.
#
#   recipes/run_rounds.sh [--config FILE] [--backend NAME] [--rounds N] [--out DIR] [--jobs J] [--mode MODE]
#
# Every round is a whole run of run_pseudolabel.sh with one backend, in OUT/round1, OUT/round2 ...; the corpus and both
# bounds are those of the first. OUT/report compares the rounds. Finished work is not repeated.
set -euo pipefail
{ # bash reads this whole before it runs, so that editing the file does no harm to a run

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=$HERE/conf/demo.yaml OUT=runs/rounds BACKEND=hilander ROUNDS=3 PASSED=()

usage() { sed -n '2,/^set -e/{/^set -e/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
refuse() { echo "run_rounds.sh: error: $1 (see --help)" >&2; exit 2; }

while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --config | --backend | --rounds | --out | --jobs | --mode) (($# > 1)) || refuse "$1 needs a value" ;;&
    --config) CONFIG=$2 ;;
    --backend) BACKEND=$2 ;;
    --rounds) ROUNDS=$2 ;;
    --out) OUT=$2 ;;
    --jobs | --mode) PASSED+=("$1" "$2") ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || refuse "--rounds $ROUNDS is not a number from 1"

row() { mkdir -p "$OUT/rows" && ln -sfn "../$1" "$OUT/rows/$2" && RUNS+=("$OUT/rows/$2"); }
listed() { local IFS=,; echo "[$*]"; }

RUNS=() TEACHER=()
for ((round = 1; round <= ROUNDS; round++)); do
  here=$OUT/round$round
  if ((round > 1)); then
    mkdir -p "$here/rows"
    for shared in corpus rows/labelled rows/supervised; do ln -sfn "$(realpath "$OUT/round1/$shared")" "$here/$shared"; done
  fi
  "$HERE/run_pseudolabel.sh" --config "$CONFIG" --backends "$BACKEND" --out "$here" "${PASSED[@]}" "${TEACHER[@]}"
  ((round > 1)) || row round1/rows/labelled labelled
  row "round$round/rows/$BACKEND" "$BACKEND-round$round"
  TEACHER=(--teacher "$here/rows/$BACKEND/model")
done
row round1/rows/supervised supervised
python -m eval compare --runs "$(listed "${RUNS[@]}")" --recipe "$CONFIG" --out "$OUT/report"
echo "Open $OUT/report/report.html" >&2
exit 0
}
