#!/bin/sh
# Makes the demo's past into blocks of a Prometheus that has not started yet. Nothing else is touched: a Prometheus with
# data of its own keeps it, and the real vendors' past is imported by hand (docs/history.md).
set -eu

case "$COMMAND" in
  demo*) ;;
  *) exit 0 ;;
esac
if [ -e "${DATA:=/prometheus}/wal" ]; then
  exit 0
fi

past="${HISTORY:=/history}/account=demo/history.openmetrics"
seconds=0
until [ -e "$past" ]; do
  # Without it the demo begins with its start.
  [ "$seconds" -lt "${PATIENCE:=60}" ] || exit 0
  seconds=$((seconds + 1))
  sleep 1
done
# Begun again from the start if it was interrupted.
rm -rf "$DATA/import"
promtool tsdb create-blocks-from openmetrics "$past" "$DATA/import" --max-block-duration=4374h --quiet
for block in "$DATA"/import/*; do
  mv "$block" "$DATA/"
done
rmdir "$DATA/import"
