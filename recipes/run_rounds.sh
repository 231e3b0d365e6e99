#!/usr/bin/env bash
# Does a better teacher make better pseudo-labels? The student of each round is the teacher of the next.
#
#   recipes/run_rounds.sh [--config FILE] [--backend NAME] [--rounds N] [--patience P] [--validation FACES] [--out DIR]
#                         [--jobs J] [--mode MODE] [--overlap ACTION]
#
# Every round is a whole run of run_pseudolabel.sh with one backend, in OUT/round1, OUT/round2 ...; the corpus and both
# bounds are those of the first. OUT/report compares the rounds. Finished work is not repeated.
# There are N rounds, by default 3. With --patience P it ends when P rounds in a row were no better on validation faces
# than the best recogniser until then (labelled only is the first), or after N rounds, by default 10.
# Validation faces are FACES, labelled people whom no recogniser was trained on, by default the corpus's validation part
# if there is one. What counts is FNMR at FMR 1e-3 over pairs of them; the test set has no part in it. The best round has
# "-chosen" in its name in the report; OUT/validation/rounds.json has the figures.
set -euo pipefail
{ # bash reads this whole before it runs, so that editing the file does no harm to a run

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=$HERE/conf/demo.yaml OUT=runs/rounds BACKEND=hilander ROUNDS= PATIENCE= PEOPLE= PASSED=()

usage() { sed -n '2,/^set -e/{/^set -e/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
refuse() { echo "run_rounds.sh: error: $1 (see --help)" >&2; exit 2; }

while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --config | --backend | --rounds | --patience | --validation | --out | --jobs | --mode | --overlap)
      (($# > 1)) || refuse "$1 needs a value" ;;&
    --config) CONFIG=$2 ;;
    --backend) BACKEND=$2 ;;
    --rounds) ROUNDS=$2 ;;
    --patience) PATIENCE=$2 ;;
    --validation) PEOPLE=$2 ;;
    --out) OUT=$2 ;;
    --jobs | --mode | --overlap) PASSED+=("$1" "$2") ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
ROUNDS=${ROUNDS:-${PATIENCE:+10}} ROUNDS=${ROUNDS:-3}
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || refuse "--rounds $ROUNDS is not a number from 1"
[[ ${PATIENCE:-1} =~ ^[1-9][0-9]*$ ]] || refuse "--patience $PATIENCE is not a number from 1"
[[ -z $PEOPLE || -e $PEOPLE ]] || refuse "--validation $PEOPLE: no such faces"

recipe() { "$HERE/run_pseudolabel.sh" --config "$CONFIG" --backends "$BACKEND" --out "$1" "${PASSED[@]}" "${@:2}"; }
row() { ln -sfn "../$1" "$OUT/rows/$2" && RUNS+=("$OUT/rows/$2"); }
listed() { local IFS=,; echo "[$*]"; }
validate() { # a recogniser, on pairs of the validation faces
  local here=$OUT/validation/$1 settings
  python -m facerec embed --config "$OUT/round1/config/embed.yaml" --model "$2" --faces "$PEOPLE" --out "$here/faces"
  python "$HERE/validation.py" pairs --faces "$here/faces" --out "$OUT/validation"
  python -m eval pairs --pairs "$OUT/validation/pairs.tsv" --embeddings "$here/faces" --out "$here/pairs"
  VALIDATED+=("$1")
  settings=$(python "$HERE/validation.py" choose --out "$OUT/validation" "${VALIDATED[@]}")
  eval "$settings"
}

if [[ -n $PATIENCE && -z $PEOPLE ]]; then
  recipe "$OUT/round1" --stage 1 --stop-stage 1
  [[ -d $OUT/round1/corpus/validation ]] ||
    refuse "--patience $PATIENCE, but the corpus has no validation part; give labelled faces of other people as --validation"
fi
TEACHER=() VALIDATED=() CHOSEN= STALE=0
for ((round = 1; round <= ROUNDS && STALE < ${PATIENCE:-ROUNDS + 1}; round++)); do
  here=$OUT/round$round
  if ((round > 1)); then
    mkdir -p "$here/rows"
    for shared in corpus rows/labelled rows/supervised; do ln -sfn "$(realpath "$OUT/round1/$shared")" "$here/$shared"; done
  fi
  recipe "$here" "${TEACHER[@]}"
  TEACHER=(--teacher "$here/rows/$BACKEND/model")
  [[ -n $PEOPLE || ! -d $OUT/round1/corpus/validation ]] || PEOPLE=$OUT/round1/corpus/validation
  if [[ -n $PEOPLE ]]; then
    ((round > 1)) || validate labelled "$here/rows/labelled/model"
    validate "$BACKEND-round$round" "$here/rows/$BACKEND/model"
  fi
done
rounds=$((round - 1))
mkdir -p "$OUT/rows"
find "$OUT/rows" -mindepth 1 -type l -delete # names of an earlier call with another number of rounds
RUNS=()
row round1/rows/labelled labelled
for ((round = 1; round <= rounds; round++)); do
  name=$BACKEND-round$round
  [[ $name != "$CHOSEN" ]] || name+=-chosen
  row "round$round/rows/$BACKEND" "$name"
done
row round1/rows/supervised supervised
[[ ! -f $OUT/report/meta.json ]] || rm -r "$OUT/report"
python -m eval compare --runs "$(listed "${RUNS[@]}")" --recipe "$CONFIG" --out "$OUT/report"
echo "Open $OUT/report/report.html" >&2
exit 0
}
