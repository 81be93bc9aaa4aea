#!/usr/bin/env bash
# Caddy 2.6: at a configuration reload its reverse proxy ends every WebSocket, and writes the upstream a Close without a mask.
#
# Expected: connections that were upgraded live on through a reload, as with nginx and HAProxy; and what a proxy writes towards a
#           server is a client's frame, so it is masked (RFC 6455 section 5.3).
# Found:    both sides get the same bytes, 88 02 03 e9 (a Close with 1001 and no mask). A server that keeps to section 5.1 must fail the
#           connection, and sees a "protocol error" of each of its users at once.
# Needs apt-get (Debian 12), Python 3 and curl; runs on loopback, in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
caddy=''
cleanup() { [[ -z $caddy ]] || kill "$caddy" 2>/dev/null || true; rm -rf "$temp"; }
trap cleanup EXIT
cd "$temp"
apt-get -o APT::Sandbox::User=root download caddy=2.6.2-5 >/dev/null
dpkg-deb -x caddy_*.deb .
printf 'caddy %s\n' "$(usr/bin/caddy version)"
read -r front admin back < <(python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
[s.bind(("127.0.0.1", 0)) for s in held]
print(*[s.getsockname()[1] for s in held])')
site() {
  printf '{"admin":{"listen":"127.0.0.1:%s"},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:%s"],"routes":[{"handle":[' "$admin" "$front"
  printf '{"handler":"headers","response":{"set":{"X-Site":["%s"]}}},' "$1"
  printf '{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:%s"}]}]}]}}}}}' "$back"
}
site one >one.json
site two >two.json
HOME=$temp usr/bin/caddy run --config one.json >caddy.log 2>&1 &
caddy=$!
python3 - "$front" "$admin" "$back" <<'PY'
import base64, hashlib, socket, subprocess, sys, time

front, admin, back = map(int, sys.argv[1:])
upstream = socket.create_server(("127.0.0.1", back))
upstream.settimeout(20)

for _ in range(200):
    try:
        client = socket.create_connection(("127.0.0.1", front), timeout=20)
        break
    except OSError:
        time.sleep(0.05)
client.sendall(b"GET / HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

def head(sock):
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        read += sock.recv(1)
    return read

served, _ = upstream.accept()
served.settimeout(20)
request = head(served).decode()
key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
served.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
assert b" 101 " in head(client)

subprocess.run(["curl", "-sS", "--fail", "-H", "Content-Type: application/json", "--data-binary", "@two.json",
                f"http://127.0.0.1:{admin}/load"], check=True)
to_server, to_client = served.recv(64), client.recv(64)
print("after a reload the upstream reads:", to_server.hex(" "))
print("                the client reads:", to_client.hex(" "))
unmasked_close = bytes([0x88, 0x02, 0x03, 0xE9])
sys.exit(0 if to_server == to_client == unmasked_close else 1)
PY
