"""Tries to reach anything on another network than the lab's, from where the operator works and from a member."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from .places import within

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONNECT = """
import socket, sys, threading
def call(host, port):
    try:
        socket.create_connection((host, port), 4).close()
        print("got-out", host, port, flush=True)
    except OSError:
        pass
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as udp:
            udp.sendto(b"got-out", address)
    except OSError:
        pass
targets = [one.rsplit(",", 1) for one in sys.argv[1:]]
threads = [threading.Thread(target=call, args=(host, int(port))) for host, port in targets]
for one in threads: one.start()
for one in threads: one.join()
"""
TARGETS = {
    "loopback of the host": "127.0.0.1,$PORT 127.0.0.1,$LOOPBACK_PORT ::1,$PORT localhost,$LOOPBACK_PORT",
    "addresses of the host": "$(for a in $HOST4 $GATEWAYS; do echo $a,$PORT; done)",
    "addresses of the host, version 6": "$(for a in $HOST6; do echo $a,$PORT $a%eth0,$PORT; done)",
    "names of the host": "host.docker.internal,$PORT gateway.docker.internal,$PORT",
    "somebody's container": "$OUTSIDER,8000",
    "another lab": "$OTHER_NODE,80 $OTHER_NODE,8000",
    "the edge": "$EDGE,7000 $EDGE,7001",
}


@pytest.mark.parametrize("place", ["agent", "node-1"])
@pytest.mark.parametrize("target", TARGETS)
def test_networks(attempt: Any, place: str, target: str) -> None:
    attempt(within(place, CONNECT, f"python3 - {TARGETS[target]}"))


FRAMES = """
import socket, struct, sys
mac, port = bytes.fromhex(sys.argv[1].replace(":", "")), int(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)
s.bind(("eth0", 0))
def sum16(b):
    b += b"\\0" * (len(b) % 2)
    t = sum(struct.unpack(f"!{len(b) // 2}H", b))
    while t >> 16: t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff
for to in sys.argv[3:]:
    six = ":" in to
    family = socket.AF_INET6 if six else socket.AF_INET
    own = "fe80::1234" if six else socket.gethostbyname(socket.gethostname())
    target, source = socket.inet_pton(family, to), socket.inet_pton(family, own)
    udp = struct.pack("!HHHH", 4444, port, 15, 0) + b"got-out"
    if six:
        udp = udp[:6] + struct.pack("!H", sum16(source + target + struct.pack("!II", 15, 17) + udp)) + udp[8:]
        packet = b"\\x86\\xdd" + struct.pack("!IHBB", 6 << 28, 15, 17, 64) + source + target + udp
    else:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 35, 1, 0, 64, 17, 0, source, target)
        packet = b"\\x08\\0" + head[:10] + struct.pack("!H", sum16(head)) + head[12:] + udp
    for _ in range(3): s.send(mac + s.getsockname()[4] + packet)
"""


@pytest.mark.parametrize("place", ["agent", "node-1"])
def test_frames_written_by_hand_to_the_hosts_end_of_the_bridge(attempt: Any, place: str) -> None:
    said = attempt(within(place, FRAMES, "python3 - $MAC $PORT $HOST4 $HOST6"))
    assert "PermissionError" in said


INTERFACES = (
    "ip route add 0.0.0.0/0 dev eth0 && echo got-out; ip addr add 10.213.255.9/24 dev eth0 && echo got-out; "
    "ip link set eth0 promisc on && echo got-out; ip link add x type dummy && echo got-out; "
    "ip -6 addr add fe80::9/64 dev eth0 && echo got-out; iptables -L && echo got-out; "
    "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print(\"got-out\")'"
)


def test_interfaces_and_routes(attempt: Any) -> None:
    attempt(INTERFACES)


def test_names_of_the_outside_are_asked_of_nobody(lab: Any, attempt: Any) -> None:
    """Docker's resolver passes what it does not know on to 127.0.0.1 within the container itself."""
    listen = (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 53))\n"
        "print('up', flush=True)\nprint(b'leak' in s.recv(512) and 'asked here')"
    )
    said = attempt(f"timeout 10 python3 -c {shlex.quote(listen)} & sleep 1; getent hosts leak.example.invalid; wait")
    assert "asked here" in said


def test_what_an_operator_may_still_do(lab: Any) -> None:
    may = (
        "ping -c1 -W2 node-1 && curl -sf http://node-1:8000/ready && redis-cli -h redis ping && "
        "docker restart -t1 $NODE && strace -c true && cd /lab && docker-compose ps && dig +short node-2"
    )
    done = lab.run(may)
    assert done.exit_code == 0, done.stdout + done.stderr
