#!/usr/bin/env bash
# diesel 2.3: what PostgreSQL warns of while a connection is made is printed on standard error, past every logger.
#
# Expected: diesel gives libpq a notice processor that does nothing, so a server's NOTICE or WARNING never reaches standard error.
# Found:    it does so only after PQconnectdb and two SET statements. A warning in the start-up (a collation whose version has changed, a
#           setting of the role that is no longer valid) is printed by libpq's default processor, as a bare line, for each connection of a
#           pool. No call of diesel's comes early enough, and client_min_messages in `options` is read after those warnings.
# Needs cargo, a C compiler and Python 3. The server is one of PostgreSQL's protocol, version 3, with nothing behind it.
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "notices"
version = "0.0.0"
edition = "2021"
[dependencies]
diesel = { version = "=2.3.14", default-features = false, features = ["postgres"] }
pq-sys = { version = "=0.7.8", features = ["bundled_without_openssl"] }
TOML
cat >src/main.rs <<'RUST'
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

fn main() {
    let mut conn = PgConnection::establish(&std::env::args().nth(1).unwrap()).unwrap();
    conn.batch_execute("SELECT 1").unwrap();
}
RUST
cargo build --quiet
python3 - <<'PY'
import socket, struct, subprocess, sys, threading

def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body

def warning(text):
    return message(b"N", b"SWARNING\0VWARNING\0C01000\0M" + text + b"\0\0")

READY = message(b"Z", b"I")
DONE = message(b"C", b"SET\0")
ANSWERS = {b"P": message(b"1"), b"B": message(b"2"), b"D": message(b"n"), b"E": DONE, b"S": READY,
           b"Q": warning(b"told later") + DONE + READY}

def exactly(sock, count):
    read = b""
    while len(read) < count:
        part = sock.recv(count - len(read))
        if not part:
            raise EOFError
        read += part
    return read

def serve(listener):
    sock, _ = listener.accept()
    try:
        exactly(sock, struct.unpack("!I", exactly(sock, 4))[0] - 4)
        status = b"".join(message(b"S", pair) for pair in (b"server_version\x0015.0\0", b"client_encoding\0UTF8\0"))
        sock.sendall(message(b"R", struct.pack("!I", 0)) + warning(b"told at the start") + status + message(b"K", bytes(8)) + READY)
        while True:
            kind, length = exactly(sock, 1), struct.unpack("!I", exactly(sock, 4))[0]
            exactly(sock, length - 4)
            sock.sendall(ANSWERS.get(kind, b""))
    except (EOFError, ConnectionError):
        pass

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
url = f"postgres://u@127.0.0.1:{listener.getsockname()[1]}/d?sslmode=disable&gssencmode=disable"
ran = subprocess.run(["target/debug/notices", url], capture_output=True, text=True, timeout=60)
print("diesel 2.3.14, pq-sys 0.7.8 (bundled libpq)")
print("exit code:", ran.returncode)
print("standard error:", repr(ran.stderr))
early, late = "told at the start" in ran.stderr, "told later" in ran.stderr
print("the warning of the start-up is printed:", early, "- that of a later statement:", late)
sys.exit(0 if ran.returncode == 0 and early and not late else 1)
PY
