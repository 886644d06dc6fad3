"""Loopback ports: free, held until released, and never another's."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from operatorlab.deploy.ports import reserve
from operatorlab.errors import BadParameter, PortTaken, UnknownName

LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_each_name_gets_a_port_of_its_own_that_is_held_until_released():
    reservation = reserve(["a", "b", "c"], {})
    assert list(reservation.ports) == ["a", "b", "c"]
    assert len(set(reservation.ports.values())) == 3
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", reservation.ports["a"]))
    reservation.release()
    for port in reservation.ports.values():
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.skipif(not LOCAL_RANGE.exists(), reason="says nothing of its ephemeral ports")
def test_chosen_ports_are_none_that_an_outgoing_connection_could_get():
    reservation = reserve([f"p{n}" for n in range(20)], {})
    reservation.release()
    assert max(reservation.ports.values()) < int(LOCAL_RANGE.read_text().split()[0])


def test_ports_to_avoid_are_not_chosen():
    first = reserve(["a"], {}, rng=random.Random(1))
    first.release()
    again = reserve(["a"], {}, rng=random.Random(1))
    again.release()
    other = reserve(["a"], {}, rng=random.Random(1), avoid=set(first.ports.values()))
    other.release()
    assert again.ports == first.ports
    assert other.ports != first.ports


def test_a_wanted_port_is_used():
    port = free_port()
    reservation = reserve(["a", "b"], {"b": port})
    reservation.release()
    assert reservation.ports["b"] == port


def test_a_wanted_port_in_use_is_told_and_nothing_stays_held():
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {taken}, asked for as 'b'") as told:
            reserve(["a", "b"], {"a": free, "b": taken})
    assert "ss -ltnp" in told.value.next_step
    socket.create_server(("127.0.0.1", free)).close()


def test_an_unknown_name_is_told():
    with pytest.raises(UnknownName, match=r"no port is called 'node-9'(.|\n)*did you mean 'node-1'"):
        reserve(["node-1"], {"node-9": 9000})


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_what_is_no_port_is_told(port: int):
    with pytest.raises(BadParameter, match="is not a port"):
        reserve(["a"], {"a": port})
