#!/bin/sh
# Builds one fuzz target of ledger/fuzz with coverage instrumentation on the stable toolchain and runs it.
#
# usage: fuzz.sh TARGET MINUTES
# What it finds is left in ledger/fuzz/artifacts, the inputs that reach new code in ledger/fuzz/corpus; both stay local.
# RUSTC_BOOTSTRAP=1 lets a stable compiler pass the flags of the instrumentation. Needs a C++ compiler for libFuzzer.
set -eu

target=$1
minutes=$2
cd "$(dirname "$0")/../ledger/fuzz"

# A target of its own keeps build scripts and macros free of instrumentation.
triple=$(rustc -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
flags="-Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on"
for pass in level=4 inline-8bit-counters pc-table trace-compares; do
	flags="$flags -Cllvm-args=-sanitizer-coverage-$pass"
done

RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_TARGET_DIR=$out \
	"${CARGO:-cargo}" build --locked --target "$triple" --bin "$target"
mkdir -p "corpus/$target" artifacts
exec "$out/$triple/debug/$target" -max_total_time="$((minutes * 60))" -max_len=8192 -artifact_prefix=artifacts/ "corpus/$target"
