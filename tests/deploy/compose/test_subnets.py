"""The networks of labs: small, free, from a pool that may be chosen."""

from ipaddress import IPv4Network

import docker
import pytest

from operatorlab.deploy.compose.subnets import POOL, choose
from operatorlab.deploy.records import begin_record
from operatorlab.errors import BadParameter, EnvironmentTrouble
from operatorlab.subject import COMPOSE
from subjects.ratelimiter.subject import RateLimiter


def test_they_overlap_with_no_other_and_come_out_of_the_pool(docker_engine, monkeypatch):
    monkeypatch.setenv(POOL, "10.241.7.0/24")
    seen = []
    for _ in range(4):
        subnets = choose(docker_engine)
        networks = [IPv4Network(one) for one in subnets.values()]
        assert subnets.keys() == {"lab", "edge", "view"}
        assert not any(one.overlaps(other) for one in networks for other in seen)
        assert all(one.subnet_of(IPv4Network("10.241.7.0/24")) for one in networks)
        seen += networks
        begin_record(RateLimiter(), COMPOSE, None, keep=False).changed(subnets=dict(subnets))
    with pytest.raises(EnvironmentTrouble, match="no free block") as told:
        choose(docker_engine)
    assert "operatorlab cleanup" in told.value.next_step


def test_what_docker_has_is_avoided(docker_engine, monkeypatch):
    monkeypatch.setenv(POOL, "10.241.9.0/26")
    pool = docker.types.IPAMPool(subnet="10.241.9.32/28")
    network = docker_engine.networks.create("subnets-test", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    try:
        with pytest.raises(EnvironmentTrouble, match="no free block"):
            choose(docker_engine)
    finally:
        network.remove()
    assert choose(docker_engine)


@pytest.mark.parametrize("told", ["nonsense", "10.0.0.1/8", "fd00::/64", "10.241.9.0/27"])
def test_a_pool_that_does_not_fit_is_told(docker_engine, monkeypatch, told):
    monkeypatch.setenv(POOL, told)
    with pytest.raises(BadParameter, match=POOL) as trouble:
        choose(docker_engine)
    assert "export OPERATORLAB_SUBNETS=10.213.0.0/16" in trouble.value.next_step
