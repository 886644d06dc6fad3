"""What is in the images, and what must not be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, VERSION, docker

_BOX = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL")
TOOLS = [
    "curl",
    "jq",
    "redis-cli",
    "dig",
    "ip",
    "ss",
    "strace",
    "htop",
    "vim",
    "promtool",
    "python",
    "docker",
    "docker-compose",
    "ping",
    "nc",
    "lsof",
    "less",
]


def _in(image: str, script: str) -> str:
    return docker(*_BOX, f"operatorlab/{image}:{VERSION}", "sh", "-c", script)


def _python(*folders: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).glob("*.py")}


def test_the_rate_limiter_s_image_holds_what_its_nodes_and_clients_need_and_nothing_of_the_lab(images: None):
    found = set(_in("ratelimiter", "cd /opt/ratelimiter && find . -name '*.py' | cut -c3-").split())
    wanted = _python("subjects/ratelimiter/service", "subjects/ratelimiter/workload")
    files = ("subjects/__init__.py", "subjects/ratelimiter/__init__.py", "subjects/ratelimiter/limits.py")
    assert found == wanted | set(files) | {"operatorlab/clock.py"}
    assert set(_in("ratelimiter", "cd /lab && find . -type f | cut -c3-").split()) == {
        "etc/limits.json",
        *(f"etc/node-{n}.json" for n in (1, 2, 3)),
    }
    everywhere = _in(
        "ratelimiter", "find / -xdev -path '*/faults*' -print -o -name 'operatorlab*' -print 2> /dev/null || true"
    )
    assert everywhere.split() == ["/opt/ratelimiter/operatorlab"]


def test_the_rate_limiter_s_packages_are_those_that_are_locked():
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ \n;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    wanted = (ROOT / "compose/images/ratelimiter/requirements.txt").read_text()
    for name, version in re.findall(r"^([a-z0-9-]+)==(.+)$", wanted, re.MULTILINE):
        assert locked[name] == version, name


def test_a_node_and_the_clients_can_be_imported_in_their_image(images: None):
    _in(
        "ratelimiter",
        "python -P -c 'import subjects.ratelimiter.service.__main__, subjects.ratelimiter.workload.client, httptools'",
    )


def test_the_relay_s_image_is_three_files_on_python(images: None):
    found = _in("relay", "find /opt /lab -type f").split()
    assert sorted(found) == ["/opt/relay/ingress.py", "/opt/relay/link.py", "/opt/relay/reader.py"]
    assert "usage" in _in("relay", "python -I /opt/relay/link.py 2>&1 || true")
    for name in ("link", "ingress", "reader"):
        assert _in("relay", f"cat /opt/relay/{name}.py") == (ROOT / f"operatorlab/deploy/{name}.py").read_text(), (
            "the image is older than the code: make images"
        )


def test_the_agent_s_image_has_its_tools_and_no_more(images: None):
    assert _in("agent", f"for tool in {' '.join(TOOLS)}; do command -v $tool > /dev/null || echo $tool; done") == ""
    assert _in("agent", "for tool in dockerd containerd gcc make pip; do command -v $tool; done; true") == ""
    assert (
        _in(
            "agent",
            "find / -xdev -name '*operatorlab*' -o -name 'audit.db' -o -path '*subjects/*.py' 2> /dev/null || true",
        )
        == ""
    )
    settings = docker(
        "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", f"operatorlab/agent:{VERSION}"
    )
    assert {"DOCKER_HOST=unix:///run/guard/docker.sock", "PAGER=cat"} <= set(settings.split())
    assert not re.search(r"KEY|TOKEN|SECRET", settings)


@pytest.mark.parametrize("spelling", ["docker-compose", "docker compose"])
def test_the_agent_has_compose_in_both_spellings(images: None, spelling: str):
    assert "1.29.2" in _in("agent", f"{spelling} version")
    compose = "x-any: 1\\nservices:\\n  a:\\n    image: b:1\\n"
    shown = _in("agent", f"printf '{compose}' | {spelling} -f - config --services")
    assert shown.split() == ["a"]


def test_compose_options_pass_through_the_plugin_as_they_are(tmp_path: Path):
    """The shim by itself, in front of a program that shows what it was given."""
    shown = tmp_path / "docker-compose"
    shown.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    shown.chmod(0o755)
    command = [ROOT / "compose/agent/docker-compose-plugin", "compose", "up", "-d", "two words"]
    told = subprocess.check_output(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, text=True, timeout=10)
    assert told == "<up><-d><two words>"
