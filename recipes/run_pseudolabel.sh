#!/usr/bin/env bash
# Which clustering backend makes the best pseudo-labels? The program is pseudolabel.py; --help says how to use it.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}${HERE%/*} # the packages beside this folder, installed or not
exec python "$HERE/pseudolabel.py" "$@"
