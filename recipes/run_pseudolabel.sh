#!/usr/bin/env bash
# Which clustering backend makes the best pseudo-labels? Faces in, one IJB-C report out.
#
#   recipes/run_pseudolabel.sh [--config FILE] [--backends a,b,c] [--stage N] [--stop-stage M] [--out DIR] [--jobs J]
#                              [--teacher MODEL] [--mode MODE] [--overlap ACTION]
#
#   1 faces        the corpus: labelled, unlabelled and test faces, test protocol
#   2 train        both bounds: on the labelled faces alone (the lower one, and the teacher unless one is given), and on
#                  labelled faces and the true labels of the unlabelled ones (the upper one)
#   3 embed        the faces to tune on and the unlabelled faces, by the teacher
#   4 knn          the graph of the unlabelled faces
#   5 tune         every backend on labelled embeddings (Hi-LANDER: meta-training)
#   6 cluster      the unlabelled faces with every backend
#   7 pseudolabel  clusters to labels
#   8 retrain      on labelled and pseudo-labelled faces, for every backend
#   9 evaluate     the test set by every recogniser
#  10 compare      one table, one set of curves, one report
#
# Finished stages are not repeated; a stage that was killed is. Same command, same result. With other --backends into the
# same folder, their rows are added and the report is made anew.
# With --jobs J, J rows are worked on at once, each with its share of the cores (small networks gain little from several).
# With --teacher the unlabelled faces are embedded by that recogniser, a model's folder or an ONNX file.
# How students are trained, --mode: joint, labelled and pseudo-labelled faces in one label space; two-heads, each kind with
# classes of its own and half of every batch; pseudo, pseudo-labelled faces alone; finetune, joint, from the teacher's
# weights. The bounds are the same in every mode.
# With --overlap unlabelled faces of people who are labelled, too, are looked for, and what becomes of them is ACTION: drop;
# merge, into the labelled person's class; or keep, as if nobody had looked (the summary of stage 7 says how many there are).
set -euo pipefail
{ # bash reads this whole before it runs, so that editing the file does no harm to a run

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=$HERE/conf/demo.yaml OUT=runs/demo FIRST=1 LAST=10 WANTED= ASKED_JOBS= ASKED_TEACHER= ASKED_MODE= ASKED_OVERLAP=

usage() { sed -n '2,/^set -e/{/^set -e/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
refuse() { echo "run_pseudolabel.sh: error: $1 (see --help)" >&2; exit 2; }

while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --config | --backends | --stage | --stop-stage | --out | --jobs | --teacher | --mode | --overlap)
      (($# > 1)) || refuse "$1 needs a value" ;;&
    --config) CONFIG=$2 ;;
    --backends) WANTED=$2 ;;
    --stage) FIRST=$2 ;;
    --stop-stage) LAST=$2 ;;
    --out) OUT=$2 ;;
    --jobs) ASKED_JOBS=$2 ;;
    --teacher) ASKED_TEACHER=$2 ;;
    --mode) ASKED_MODE=$2 ;;
    --overlap) ASKED_OVERLAP=$2 ;;
    *) refuse "unknown option $1" ;;
  esac
  shift 2
done
[[ $FIRST =~ ^([1-9]|10)$ ]] || refuse "--stage $FIRST is not one of 1 to 10"
[[ $LAST =~ ^([1-9]|10)$ ]] || refuse "--stop-stage $LAST is not one of 1 to 10"
[[ ${ASKED_JOBS:-1} =~ ^[1-9][0-9]*$ ]] || refuse "--jobs $ASKED_JOBS is not a number from 1"

settings=$(python "$HERE/sections.py" --config "$CONFIG" --out "$OUT/config")
eval "$settings"
IFS=, read -ra BACKENDS <<<"${WANTED:-$BACKENDS}"
TEACHER=${ASKED_TEACHER:-${TEACHER:-$OUT/rows/labelled/model}}
TEST_FACES=${TEST_FACES:-$OUT/corpus/test}
PROTOCOL=${PROTOCOL:-$OUT/corpus/protocol}
case ${ASKED_MODE:=$MODE} in
  joint) STUDENT=(--faces "$OUT/corpus/labelled") ;;
  two-heads) STUDENT=(--faces "$OUT/corpus/labelled" --heads 2 --pseudo_share 0.5) ;;
  pseudo) STUDENT=() ;;
  finetune) STUDENT=(--faces "$OUT/corpus/labelled" --init "$TEACHER") ;;
  *) refuse "--mode $ASKED_MODE is not one of joint, two-heads, pseudo, finetune" ;;
esac
case ${ASKED_OVERLAP:=$OVERLAP} in
  '') KNOWN=() ;;
  drop | merge | keep) KNOWN=(--labelled "$OUT/embeddings/labelled" --overlap "$ASKED_OVERLAP") ;;
  *) refuse "--overlap $ASKED_OVERLAP is not one of drop, merge, keep" ;;
esac
EMBEDDED=("$TUNE_ON" unlabelled)
[[ -z $ASKED_OVERLAP || $TUNE_ON == labelled ]] || EMBEDDED+=(labelled)
ROWS=(labelled "${BACKENDS[@]}" supervised)
JOBS=${ASKED_JOBS:-$JOBS} QUEUED=0 ENDED=$(mktemp)
CORES=$(getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((CORES > JOBS ? CORES / JOBS : 1))}
trap 'rm -f "$ENDED"; kill $(jobs -p) 2>/dev/null || true' EXIT

facerec() { python -m facerec "$1" --config "$OUT/config/${2:-$1}.yaml" "${@:3}"; }
evaluation() { python -m eval "$1" --config "$OUT/config/$1.yaml" "${@:2}"; }
clustering() { python -m clustering "$1" --config "$OUT/config/$1.yaml" "${@:2}"; }
stage() { (($1 >= FIRST && $1 <= LAST)) && echo "== stage $1: $2" >&2; }
train() { facerec train train "${@:2}" --out "$OUT/rows/$1/model"; }
tune() {
  clustering tune --backend "$1" --embeddings "$OUT/embeddings/$TUNE_ON" --out "$OUT/rows/$1/tuned"
}
cluster() {
  clustering cluster --backend "$1" --model "$OUT/rows/$1/tuned" --knn "$OUT/knn" \
    --embeddings "$OUT/embeddings/unlabelled" --out "$OUT/rows/$1/clusters"
  python -m eval clusters --truth "$OUT/corpus/unlabelled_truth.npy" \
    --predicted "$OUT/rows/$1/clusters" --json "$OUT/rows/$1/clusters.json"
  python -m facerec sheet --faces "$OUT/corpus/unlabelled" --labels "$OUT/rows/$1/clusters" \
    --truth "$OUT/corpus/unlabelled_truth.npy" --out "$OUT/rows/$1/sheet.png"
}
pseudolabel() {
  clustering pseudolabel --clusters "$OUT/rows/$1/clusters" --embeddings "$OUT/embeddings/unlabelled" \
    --knn "$OUT/knn" --calibration "$OUT/embeddings/$TUNE_ON" \
    "${KNOWN[@]}" --truth "$OUT/corpus/unlabelled_truth.npy" --out "$OUT/rows/$1/pseudo"
  python -m eval clusters --truth "$OUT/corpus/unlabelled_truth.npy" \
    --predicted "$OUT/rows/$1/pseudo" --json "$OUT/rows/$1/pseudo.json"
}
evaluate() {
  facerec embed embed --model "$OUT/rows/$1/model" --faces "$TEST_FACES" --out "$OUT/rows/$1/test"
  evaluation ijb --protocol "$PROTOCOL" --embeddings "$OUT/rows/$1/test" --out "$OUT/rows/$1/ijb"
}
queue() { # runs a command beside others, at most JOBS at once
  while (($(jobs -pr | wc -l) >= JOBS)); do sleep 0.2; done
  (trap 'echo $? >>"$ENDED"' EXIT && "$@") & # "wait" forgets how a job ended when, hours later, its number is used again
  QUEUED=$((QUEUED + 1))
}
drain() { # fails if one of them did, with its status
  local statuses status
  wait
  mapfile -t statuses <"$ENDED"
  for status in "${statuses[@]}"; do ((status == 0)) || exit "$status"; done
  ((${#statuses[@]} == QUEUED)) || exit 1
  QUEUED=0
  : >"$ENDED"
}
listed() { local IFS=,; echo "[$*]"; }

if stage 1 faces; then
  facerec "$CORPUS" corpus --out "$OUT/corpus"
fi
if stage 2 "train both bounds"; then
  queue train labelled --faces "$OUT/corpus/labelled"
  queue train supervised --faces "$OUT/corpus/labelled" \
    --unlabelled "$OUT/corpus/unlabelled" --pseudo-labels "$OUT/corpus/unlabelled_truth.npy"
  drain
fi
if stage 3 "embed"; then
  for part in "${EMBEDDED[@]}"; do
    facerec embed embed --model "$TEACHER" --faces "$OUT/corpus/$part" --out "$OUT/embeddings/$part"
  done
fi
if stage 4 "kNN graph"; then
  clustering knn --embeddings "$OUT/embeddings/unlabelled" --out "$OUT/knn"
fi
if stage 5 "meta-train and tune"; then
  for row in "${BACKENDS[@]}"; do queue tune "$row"; done
  drain
fi
if stage 6 "cluster"; then
  for row in "${BACKENDS[@]}"; do queue cluster "$row"; done
  drain
fi
if stage 7 "pseudo-labels"; then
  for row in "${BACKENDS[@]}"; do queue pseudolabel "$row"; done
  drain
fi
if stage 8 "retrain"; then
  for row in "${BACKENDS[@]}"; do
    queue train "$row" "${STUDENT[@]}" \
      --unlabelled "$OUT/corpus/unlabelled" --pseudo-labels "$OUT/rows/$row/pseudo"
  done
  drain
fi
if stage 9 "evaluate"; then
  for row in "${ROWS[@]}"; do queue evaluate "$row"; done
  drain
fi
if stage 10 "compare"; then
  reported=$(sed '1d;s/,.*//' "$OUT/report/comparison.csv" 2>/dev/null | paste -sd' ') || true
  if [[ -n $reported && $reported != "${ROWS[*]}" ]]; then
    echo "$OUT/report was about $reported: it is made anew" >&2
    rm -r "$OUT/report"
  fi
  evaluation compare --runs "$(listed "${ROWS[@]/#/$OUT/rows/}")" --recipe "$CONFIG" --out "$OUT/report"
  echo "Open $OUT/report/report.html" >&2
fi
exit 0
}
