#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The study from simulation to report.   scripts/demo.sh BUILD-FOLDER
set -eu
cd "$(dirname "$0")/.."
forage=$1/src/cli/forage
"$forage" study --output report
cat <<END

The report is $PWD/report/index.html: open it in a browser.

Commands to try next:
  $forage arena petshop --agents popular,linucb,lints,latent,bayes --visits 50000
  $forage simulate petshop --interactions 200000 --preliminary-trials 100 --output log.csv
  $forage train embedding-mlp --data log.csv --split sklearn:0.2:42 --recipe tuned --output mlp.safetensors
  $forage recommend mlp.safetensors --data log.csv --user 209 --k 5
END
