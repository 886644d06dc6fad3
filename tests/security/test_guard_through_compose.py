"""Tries to get further than the guard lets, by Compose files of an operator's own."""

import os
import subprocess

import pytest

TRICKS = (
    "privileged: true", 'volumes: ["/:/host"]', 'volumes: ["data:/data"]', "network_mode: host", "pid: host",
    'cap_add: [SYS_ADMIN]', 'devices: ["/dev/null:/dev/null"]', 'ports: ["127.0.0.1:1:1"]', "mem_limit: 64m",
    "build: .", "image: python:3.11-slim-bookworm",
)  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_compose_does_not_get_further(guarded, tiny_lab, tmp_path, trick):
    before = _volumes(tiny_lab)
    text = (tiny_lab.folder / "docker-compose.yml").read_text()
    text = text.replace("  node-2: *member", f"  extra:\n    <<: *member\n    {trick}") + "volumes: {data: {}}\n"
    (tmp_path / "docker-compose.yml").write_text(text)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    environment = {**os.environ, "DOCKER_HOST": f"unix://{guarded.socket}", "COMPOSE_PROJECT_NAME": tiny_lab.project}
    done = subprocess.run(
        ["docker-compose", "up", "-d", "extra"], cwd=tmp_path, env=environment, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert tiny_lab.id("extra") is None
    assert _volumes(tiny_lab) == before


def _volumes(lab):
    return [each["Name"] for each in lab.engine.api.volumes()["Volumes"] or () if lab.project in each["Name"]]
