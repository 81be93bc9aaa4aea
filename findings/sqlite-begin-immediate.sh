#!/usr/bin/env bash
# SQLite: BEGIN IMMEDIATE succeeds on a database that may only be read.
#
# Expected: BEGIN IMMEDIATE starts a write transaction or fails (SQLite's own page on transactions: it "causes the database connection to start
#           a new write immediately, without waiting for a write statement"). So it tells whether a file can be written.
# Found:    of a file that is opened read-only, which SQLite does by itself where it may not write it, BEGIN IMMEDIATE and BEGIN EXCLUSIVE
#           start a transaction that reads, and another connection may hold the write lock meanwhile. Only the first write fails
#           (SQLITE_READONLY). A server that probes its database with BEGIN IMMEDIATE at the start begins to serve, and refuses every write.
# Needs Python 3 with venv and pip; runs in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check apsw==3.46.1.0
env/bin/python - <<'PY'
import sys
import apsw

print("SQLite", apsw.sqlite_lib_version())
writer = apsw.Connection("x.db")
for sql in ["PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"]:
    list(writer.execute(sql))
reader = apsw.Connection("x.db", flags=apsw.SQLITE_OPEN_READONLY)

def tried(sql):
    try:
        reader.execute(sql)
        return "ok"
    except apsw.Error as error:
        return apsw.mapping_result_codes.get(error.result, type(error).__name__)

writer.execute("BEGIN IMMEDIATE")
seen = []
for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]:
    seen.append((tried(begin), tried("UPDATE t SET x = x"), tried("ROLLBACK")))
    print(f"read-only, while another connection holds the write lock: {begin}: {seen[-1][0]}; then UPDATE: {seen[-1][1]}")
sys.exit(0 if seen == [("ok", "SQLITE_READONLY", "ok")] * 2 else 1)
PY
