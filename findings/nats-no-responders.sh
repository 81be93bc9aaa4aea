#!/usr/bin/env bash
# nats-server: a passive wildcard subscriber takes "no responders" away from every request.
#
# Expected: a request to a subject that no service serves fails at once with "no responders", so it makes a cheap round trip.
# Found:    any subscription that matches counts as a responder, also a monitor on ">" that never answers: the request then waits for
#           its whole time-out. A liveness probe built on "no responders" takes a server with a monitor for a dead one.
# Seen with nats-server 2.9.10 and nats-py 2.16.0. Needs apt-get (Debian 12), Python 3 with pip; runs on loopback, in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
server=''
cleanup() { [[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$temp"; }
trap cleanup EXIT
cd "$temp"
apt-get -o APT::Sandbox::User=root download nats-server=2.9.10-1+b3 >/dev/null
dpkg-deb -x nats-server_*.deb .
pip install --quiet --disable-pip-version-check --target py nats-py==2.16.0
find . -name nats-server -type f -perm -u+x | head -n 1 >binary
"$(cat binary)" --version
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$(cat binary)" -a 127.0.0.1 -p "$port" >server.log 2>&1 &
server=$!
PYTHONPATH=py python3 - "$port" <<'PY'
import asyncio, sys, time
import nats
from nats.errors import NoRespondersError, TimeoutError

async def ask(client):
    began = time.monotonic()
    try:
        await client.request("probe.nobody", b"", timeout=1.5)
        return "an answer", time.monotonic() - began
    except NoRespondersError:
        return "no responders", time.monotonic() - began
    except TimeoutError:
        return "time-out", time.monotonic() - began

async def main():
    url = f"nats://127.0.0.1:{sys.argv[1]}"
    client = await nats.connect(url, connect_timeout=10)
    alone, took_alone = await ask(client)
    print(f"nobody subscribed: {alone} after {took_alone:.2f} s")
    monitor = await nats.connect(url)
    await monitor.subscribe(">")
    await monitor.flush()
    watched, took_watched = await ask(client)
    print(f"a monitor on '>' listens: {watched} after {took_watched:.2f} s")
    await monitor.close()
    await client.close()
    sys.exit(0 if (alone, watched) == ("no responders", "time-out") else 1)

asyncio.run(main())
PY
