#!/bin/bash
# Everything about the deployments except the image's build: fetches the tools, then runs the tests with none skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/deploy/tools.sh
CI=true cargo test --locked --test it deployments::
