#!/usr/bin/env bash
# Makes runs.tar.gz in the current folder: make.sh CHECKOUT, a checkout of d22cc02.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH=$1/src OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NO_ALBUMENTATIONS_UPDATE=1
mapfile -t settings < "$here/settings.txt"
python -m oaa_pl reproduce name=finished "${settings[@]}"
python "$here/interrupt.py" fit name=interrupted "${settings[@]}" || true # ends by SIGKILL
python "$here/read_maps.py" runs/finished/seed-0/attention/*/store
rm -r runs/finished/report # no stage reads it
# Times to the nanosecond: a resumed stage's record tells from them how long the killed one worked.
tar --create --format=posix --pax-option=delete=atime,delete=ctime --sort=name \
    --owner=0 --group=0 --numeric-owner data runs | gzip --no-name -9 > runs.tar.gz
