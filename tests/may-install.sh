#!/bin/bash
# Asks before system packages are installed. Flows in: their names in Debian; a terminal, or none. Flows out: exit 0 if they
# may be installed. It asks only on a terminal; CI=... and INSTALL=yes, which tests/run --yes sets, mean yes.
set -euo pipefail
if [ "${INSTALL:-}" = yes ] || [ -n "${CI:-}" ] || ! [ -t 0 ] || ! [ -t 1 ]; then exit 0; fi
read -r -p "The tests need these Debian packages: $*. Install them with apt-get? [y/N] " answer
case $answer in
    y | Y | yes) exit 0 ;;
esac
echo "not installed; tests/run rust does without them" >&2
exit 1
