#!/usr/bin/env bash
# Does a better teacher make better pseudo-labels? The program is rounds.py; --help says how to use it.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}${HERE%/*} # the packages beside this folder, installed or not
exec python "$HERE/rounds.py" "$@"
