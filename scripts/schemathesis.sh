#!/bin/sh
# Holds a running node against the OpenAPI document it serves, with schemathesis: requests made from the document, right
# and wrong ones, and what the answers must be. Starts a node of its own on a private database, and clears up after it.
#
#   scripts/schemathesis.sh [SEED]     SEED: the number that an earlier run printed; without it, another one each day
#   TESSERA=path                       the binary; without it, target/debug/tessera is built
#   EXAMPLES=30                        requests made up for each operation in each phase, at most
#
# With TESSERA_URL it starts none, and asks the node that is there as one caller of a tenant of its own; whose node it is
# looks after its log (tests/callers.rs, which makes a caller of each kind):
#   TESSERA_KEY=token                  what the caller comes with; empty is nobody
#   TESSERA_REFRESH=token              for the next one, where it lives shorter than a run
#   TESSERA_HOUSE_KEY=key              a machine's key of the same tenant with every right, that makes what is asked for
#   TENANT=slug                        the tenant
#   EXCEPT=path                        an address that this caller leaves alone
#
# schemathesis is Python and no part of the build: it is installed, at a pinned version, into the target folder.
set -eu

VERSION=4.32.5
cd "$(dirname "$0")/.."
TARGET=${CARGO_TARGET_DIR:-target}
SEED=${1:-$(date +%Y%m%d)}

say() { printf 'contract: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

if [ -z "${TESSERA_URL:-}${TESSERA:-}" ]; then
    cargo build --quiet --locked --workspace --bins
    TESSERA=$TARGET/debug/tessera
fi

TOOLS=$TARGET/schemathesis-$VERSION
if [ ! -e "$TOOLS/complete" ]; then
    say "installing schemathesis $VERSION into $TOOLS"
    rm -rf "$TOOLS"
    python3 -m venv "$TOOLS" || stop "install Python 3.10 or newer with its venv module"
    "$TOOLS/bin/pip" install --quiet "schemathesis==$VERSION" || stop "pip could not install schemathesis $VERSION"
    touch "$TOOLS/complete"
fi

# Holds the node at TESSERA_URL against its document, as one caller.
hold() {
    export SCHEMATHESIS_HOOKS=hooks PYTHONPATH="$PWD/scripts/contract" PYTHONDONTWRITEBYTECODE=1
    say "seed $SEED: scripts/schemathesis.sh $SEED sends the same requests again"
    # No `--checks all`, which is so without it: said here, it goes before what schemathesis.toml leaves out.
    # Not use_after_free: a DELETE here ends something, an endpoint or a replay, which stays to be read.
    "$TOOLS/bin/schemathesis" --config-file scripts/contract/schemathesis.toml run "$TESSERA_URL/docs/openapi.yaml" \
        --url "$TESSERA_URL" --exclude-checks use_after_free --seed "$SEED" ${EXCEPT:+--exclude-path "$EXCEPT"} \
        --max-examples "${EXAMPLES:-30}" --generation-database none --continue-on-failure --no-color "$@"
}

if [ -n "${TESSERA_URL:-}" ]; then
    # Most of it is not this caller's: there is no use in being warned of that.
    hold --warnings off && exit 0
    exit 1
fi

# Not under /tmp: PostgreSQL's own account must reach it, and some systems keep /tmp in memory.
WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/tessera-contract-XXXXXX")
chmod 755 "$WORK"
NODE=
clear_up() {
    if [ -n "$NODE" ]; then
        kill -TERM "$NODE" 2>/dev/null || true
        wait "$NODE" 2>/dev/null || true
    fi
    rm -rf "$WORK"
}
trap clear_up EXIT
trap 'exit 130' INT TERM

export TESSERA_DATA_DIR="$WORK/data"
# One caller does it all, so limits are off; hooks may go where the tests send them.
TESSERA_LIMITS=off TESSERA_ALLOW_PRIVATE_HOOKS=true "$TESSERA" serve --listen 127.0.0.1:0 --log info 2>"$WORK/log" &
NODE=$!
TRIES=0
while true; do
    ADDRESS=$(grep '"message":"serving"' "$WORK/log" | sed -n 's/.*"address":"\([0-9.:]*\)".*/\1/p')
    [ -z "$ADDRESS" ] || break
    kill -0 "$NODE" 2>/dev/null || { cat "$WORK/log" >&2; stop "the node ended"; }
    TRIES=$((TRIES + 1))
    [ "$TRIES" -lt 300 ] || stop "the node does not listen"
    sleep 0.2
done

"$TESSERA" tenant create contract --sandbox --json >/dev/null 2>"$WORK/said" || { cat "$WORK/said" >&2; exit 1; }
KEY=$("$TESSERA" keys create --tenant contract --name contract --scope admin --json 2>"$WORK/said" |
    sed -n 's/.*"key": *"\([^"]*\)".*/\1/p')
[ -n "$KEY" ] || { cat "$WORK/said" >&2; stop "there is no key"; }

export TESSERA_URL="http://$ADDRESS" TESSERA_KEY="$KEY" TESSERA_HOUSE_KEY="$KEY" TENANT=contract
FOUND=0
hold || FOUND=$?

# A server error that no answer told of is one as well.
# Not the HTTP parser's own, which speaks of requests that are no HTTP.
if grep '"level":"ERROR"' "$WORK/log" | grep -v '"target":"actix_http::' >"$WORK/errors"; then
    say "the node logged errors:"
    head -n 20 "$WORK/errors" >&2
    FOUND=1
fi
exit "$FOUND"
