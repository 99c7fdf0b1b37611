#!/bin/sh
# Finds what a build and a run of Tessera need (a Rust toolchain, a C compiler, PostgreSQL >= 15), and a redis-server, a
# mail server (python3 with aiosmtpd) and a browser (Chromium) for the tests (running needs none of them), and installs what is missing where it may: on Debian and Ubuntu as root or with a sudo that asks nothing, on macOS with Homebrew (not
# verified). Where it may not, the last line says what to install. It starts no service and changes no setting.
set -eu

OLDEST=15

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the major version of the postgres in folder $1, if initdb lies beside it.
major_in() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 0
    "$1/postgres" --version 2>/dev/null | sed -n 's/^.*(PostgreSQL) \([0-9][0-9]*\).*$/\1/p'
}

# The same places as wallet-api/src/platform/cluster/tools.rs, which has the last word when the program runs.
has_postgres() {
    folders=$(printf '%s\n' "$PATH" | tr ':' '\n')
    if have pg_config; then
        folders="$folders
$(pg_config --bindir 2>/dev/null || true)"
    fi
    for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql*/bin /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /opt/local/lib/postgresql*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin; do
        folders="$folders
$folder"
    done
    # A folder may have blanks in its name, so only a line ends it.
    while IFS= read -r folder; do
        major=$(major_in "$folder")
        if [ -n "$major" ] && [ "$major" -ge "$OLDEST" ]; then return 0; fi
    done <<END
$folders
END
    return 1
}

# The same places as tests/support/redis.rs.
has_redis() { have redis-server || [ -x /usr/bin/redis-server ] || [ -x /usr/sbin/redis-server ] || [ -x /usr/local/bin/redis-server ]; }

# The same as tests/support/smtp.rs. Without it the tests of mail say that they were skipped.
has_smtp() {
    for python in python3 /usr/bin/python3; do
        if have "$python" && "$python" -c 'import aiosmtpd' 2>/dev/null; then return 0; fi
    done
    return 1
}

# The same places as tests/support/browser.rs. Without it the tests of pages say that they were skipped.
has_browser() {
    { have chromedriver || [ -x /usr/bin/chromedriver ]; } && { have chromium || have chromium-browser || have google-chrome; }
}

# Runs a command as root, or fails without asking anything.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

apt_install() {
    as_root true 2>/dev/null || stop "run: sudo apt-get install --no-install-recommends $*"
    say "installing $* (apt-get)"
    # apt's own user may be unable to write to /tmp; it then keeps old lists and still reports success.
    as_root env TMPDIR=/var/tmp apt-get update -q </dev/null >&2 || say "apt-get update failed: trying with the old lists"
    as_root env TMPDIR=/var/tmp DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" \
        </dev/null >&2 || stop "apt-get failed: run: sudo apt-get install --no-install-recommends $*"
}

install_on_debian() {
    packages=''
    have cc || packages='gcc libc6-dev'
    has_postgres || packages="$packages postgresql"
    # Where systemd runs, the package starts one on the standard port, which the tests do not use.
    has_redis || packages="$packages redis-server"
    # shellcheck disable=SC2086 # one word per package
    [ -z "$packages" ] || apt_install $packages
    # Not worth stopping for: without it some tests are skipped, and say so.
    has_smtp || (apt_install python3-aiosmtpd) || say "going on without a mail server: the tests of mail are skipped"
    has_browser || (apt_install chromium chromium-driver) || say "going on without a browser: the tests of pages are skipped"
    has_postgres || stop "this release packs a PostgreSQL older than $OLDEST: add apt.postgresql.org and install postgresql-17"
}

install_on_mac() {
    have cc || stop "run: xcode-select --install"
    formulas=''
    has_postgres || formulas='postgresql@17'
    has_redis || formulas="$formulas redis"
    [ -n "$formulas" ] || return 0
    have brew || stop "install Homebrew (https://brew.sh), then run: brew install $formulas"
    say "installing $formulas (Homebrew; not verified on macOS)"
    # shellcheck disable=SC2086 # one word per formula
    brew install --quiet $formulas </dev/null >&2 || stop "run: brew install $formulas"
    has_postgres || stop "Homebrew installed no PostgreSQL where we look: put its bin folder on PATH"
}

main() {
    have cargo || stop "install a Rust toolchain: https://rustup.rs"
    if have cc && has_postgres && has_redis && has_smtp && has_browser; then return 0; fi
    if have apt-get; then
        install_on_debian
    elif [ "$(uname -s)" = Darwin ]; then
        install_on_mac
    else
        stop "install a C compiler, PostgreSQL $OLDEST or newer (server and pgbench) and redis-server, with their programs on PATH"
    fi
    have cc || stop "no C compiler named cc is on PATH"
}

main
