"""The commands that an operator of the rate limiter repairs it by, in the shell that each deployment gives it."""

from __future__ import annotations

import shlex

from operatorlab.subject import PROCESSES, Deployment


def start(deployment: Deployment, member: str) -> str:
    """Start a member that is not running."""
    return f"supervisorctl start {member}" if deployment.kind == PROCESSES else f"docker start {container(member)}"


def restart(deployment: Deployment, member: str) -> str:
    """Start a member anew."""
    if deployment.kind == PROCESSES:
        return f"supervisorctl restart {member}"
    return f"docker restart -t 2 {container(member)}"


def make_anew(node: str) -> str:
    """Make the container of a node as compose.yaml declares it, if it is not made so."""
    return f"docker compose up -d --no-deps {node}"


def thaw(deployment: Deployment, member: str) -> str:
    """Let a frozen member go on."""
    if deployment.kind == PROCESSES:
        return f"supervisorctl signal CONT {member}"
    return f"docker unpause {container(member)}"


def redis_cli(deployment: Deployment, *command: str) -> str:
    """Send Redis a command, past the links. What it refuses is printed, and fails the command."""
    host, port = deployment.inside("redis")
    return f"timeout 2 redis-cli -e -h {host} -p {port} {shlex.join(command)}"


def open_link(deployment: Deployment, node: str) -> str:
    """Let everything pass between a node and Redis."""
    path, link = f"etc/links/{node}-redis.json", f"link-{node}"
    opened = """s/"drop": true/"drop": false/; s/"delay_s": [0-9.e-]*/"delay_s": 0.0/"""
    write = f'new=$(sed {shlex.quote(opened)} {path}) && printf "%s\\n" "$new" >{path}'
    if deployment.kind == PROCESSES:
        return f"{write} && supervisorctl signal HUP {link}"
    return f"{in_container(link, 'sh', '-c', write)} && docker kill -s HUP {container(link)}"


def in_container(service: str, *argv: str) -> str:
    """Run a program in the container of a service."""
    return f"docker exec {container(service)} {shlex.join(argv)}"


def container(service: str) -> str:
    """The container of a service, as a shell finds it; the guard shows this lab's only."""
    return f"$(docker ps -aq --filter label=com.docker.compose.service={service})"
