"""Small networks that nobody uses yet: Docker's own address pools are used up by some thirty projects."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network, ip_network
from typing import Any

import docker
import psutil

from operatorlab.deploy.records import read_records
from operatorlab.errors import BadParameter, EnvironmentTrouble

POOL = "OPERATORLAB_SUBNETS"
_DEFAULT_POOL = "10.213.0.0/16"
_PREFIX = {"lab": 27, "edge": 29, "view": 29}
_BLOCK = 26
"""One lab takes its networks out of one block."""


def choose(client: docker.DockerClient, rng: random.Random | None = None) -> Mapping[str, str]:
    """A subnet for each network of a lab, by name. EnvironmentTrouble if the pool is used up."""
    pool = _pool()
    taken = [*_of_docker(client), *_of_this_machine(), *_of_labs()]
    blocks = list(pool.subnets(new_prefix=_BLOCK))
    (rng or random.SystemRandom()).shuffle(blocks)
    for block in blocks:
        if not any(block.overlaps(other) for other in taken):
            return dict(_divided(block))
    raise EnvironmentTrouble(
        f"found no free block of addresses in {pool}",
        cause="many labs run, or dead ones left their networks",
        next_step=f"operatorlab cleanup, or choose other addresses: export {POOL}=10.99.0.0/16",
    )


def _divided(block: IPv4Network) -> Iterator[tuple[str, str]]:
    start = int(block.network_address)
    for name, prefix in _PREFIX.items():
        network = IPv4Network((start, prefix))
        yield name, str(network)
        start += network.num_addresses


def _pool() -> IPv4Network:
    told = os.environ.get(POOL, _DEFAULT_POOL)
    try:
        pool = IPv4Network(told)
    except ValueError as trouble:
        raise BadParameter(f"{POOL} is {told!r}: {trouble}", next_step=f"export {POOL}={_DEFAULT_POOL}") from trouble
    if pool.prefixlen > _BLOCK:
        raise BadParameter(f"{POOL} is {told}: a lab needs a /{_BLOCK}", next_step=f"export {POOL}={_DEFAULT_POOL}")
    return pool


def _of_docker(client: docker.DockerClient) -> Iterator[IPv4Network]:
    for network in client.networks.list():
        yield from _networks((network.attrs.get("IPAM") or {}).get("Config") or [])


def _networks(configs: Collection[Mapping[str, Any]]) -> Iterator[IPv4Network]:
    for config in configs:
        network = ip_network(config["Subnet"]) if config.get("Subnet") else None
        if isinstance(network, IPv4Network):
            yield network


def _of_labs() -> Iterator[IPv4Network]:
    """Those of labs that are coming up: Docker may not know them yet."""
    for record in read_records():
        if record.ended_at is None:
            yield from (IPv4Network(subnet) for subnet in record.subnets.values())


def _of_this_machine() -> Iterator[IPv4Network]:
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.netmask and "." in one.address:
                yield IPv4Network(f"{one.address}/{one.netmask}", strict=False)
