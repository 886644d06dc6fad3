"""An operator that ruins its own lab: the host and the harness go on, and the lab can be reset and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import psutil
import pytest

from operatorlab.deploy.kin import kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.errors import OperatorLabError
from operatorlab.sandbox import SandboxGone
from tests.security.conftest import Exec, Host, works

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]  # a frozen supervisord is waited for

_FAKE = """python3 - <<'END' >/dev/null 2>&1 &
import os, socket
os.rename("/run/supervisor.sock", "/run/real.sock")
server = socket.socket(socket.AF_UNIX)
server.bind("/run/supervisor.sock")
server.listen()
open("/lab/fake", "w").close()
while True:
    client, _ = server.accept()
    try:
        client.recv(65536)
        client.sendall({answer})
        {then}
    except OSError:
        pass
    client.close()
END
until test -e /lab/fake; do sleep 0.05; done"""
_HEAD = 'b"HTTP/1.0 200 OK\\r\\nContent-Type: text/xml\\r\\n\\r\\n"'

RUIN = {
    "a fork bomb": "bomb() { bomb | bomb & }; bomb; sleep 1",
    "a fork bomb in sessions of its own": "cat > /tmp/b <<'E'\nwhile :; do setsid sh /tmp/b & done\nE\nsetsid sh /tmp/b & sleep 1",
    "a memory hog": "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 26))'",
    "memory in many processes": "for i in $(seq 40); do python3 -c 'x = b\"x\" * (1 << 28); import time; time.sleep(60)' & done; "
    "sleep 3",
    "memory in a file system of its own": "unshare -Urm sh -c 'mount -t tmpfs x /tmp; cat /dev/zero > /tmp/fill; sleep 60' & "
    "sleep 5",
    "memory that outlives processes": "for i in $(seq 40); do ipcmk -M 100000000 >/dev/null; done",
    "a full folder": "cat /dev/zero > /lab/fill; cat /dev/zero > data/fill",
    "full temporary folders": "cat /dev/zero > /tmp/fill; cat /dev/zero > /dev/shm/fill; cat /dev/zero > /run/fill",
    "very many files": "mkdir m; cd m; for i in $(seq 20000); do : > $i; done",
    "very deep folders": "python3 -c 'import os\nfor i in range(3000): os.mkdir(\"d\" * 100); os.chdir(\"d\" * 100)'",
    "folders that cannot be entered": "mkdir -p a/b/c; chmod 0 a/b/c a/b a; chmod 0 etc data log bin",
    "very many open files": "python3 -c 'import os, time\nwhile True:\n  try: os.dup(0)\n  except OSError: time.sleep(60)' & sleep 1",
    "everything killed": "kill -9 -1",
    "everything frozen": "kill -STOP -1",
    "supervisord killed": "pkill -9 -f supervisord",
    "everything removed": "rm -rf /lab/* /lab/.[a-z]* /run/* /tmp/* 2>/dev/null",
    "the first process killed": "kill -9 1; kill -TERM 1; kill -STOP 1",
    "a process in namespaces of its own": "setsid unshare -Urpf --kill-child sleep 3601 & setsid setsid sleep 3601 & sleep 0.3",
    "a huge file of rules in force": "mkdir -p data/front-store; truncate -s 400M data/front-store/applied.json",
    "nonsense as rules in force": "python3 -c 'print(\"[\" * 100000)' > data/front-store/applied.json",
    "pipes in place of files": "for f in etc/links/*.json data/front-store/applied.json log/*.log etc/*.conf; do rm -f $f; "
    "mkfifo $f; done",
    "folders in place of files": "for f in etc/links/*.json data/front-store/applied.json log/*.log etc/*.conf bin/*; do "
    "rm -f $f; mkdir -p $f/x; done",
    "sparse logs": "for f in log/*.log; do truncate -s 500M $f; done",
    "a fake supervisord that talks nonsense": _FAKE.format(answer='b"x" * 1000', then="pass"),
    "a fake supervisord that never stops": _FAKE.format(answer=_HEAD, then='\n        while True: client.sendall(b" " * 65536)'),
    "a fake supervisord that says nothing": _FAKE.format(answer='b""', then="import time; time.sleep(600)"),
    "a fake supervisord that names others": _FAKE.format(
        answer=_HEAD + ' + b"<methodResponse><params><param><value><struct><member><name>pid</name><value><int>'
        '{victim}</int></value></member></struct></value></param></params></methodResponse>"',
        then="pass",
    ),
    "a socket that leads out": "rm -f /run/supervisor.sock; ln -s {path} /run/supervisor.sock",
}  # fmt: skip


async def attempted(deed) -> None:
    """Done, or told that it cannot be done, but in time."""
    try:
        async with asyncio.timeout(40):
            await deed
    except (OperatorLabError, OSError, ValueError):
        return


@pytest.mark.parametrize("name", RUIN)
async def test_a_ruined_lab_is_as_new_after_a_reset(
    victim: ProcessDeployment, host: Host, run: Exec, name: str
) -> None:
    before = psutil.virtual_memory().available
    command = RUIN[name].replace("{victim}", str(host.victim)).replace("{path}", str(host.listeners[3].getsockname()))
    with contextlib.suppress(SandboxGone):
        await run(victim, command, 8)
    assert before - psutil.virtual_memory().available < 5 << 30
    for deed in (victim.cut, victim.mend):
        await attempted(deed("front", "store"))
    await attempted(victim.kill("store"))
    assert host.heard() == []
    await victim.reset()
    await works(victim)
    names = {process.name() for process in kin(victim.record)}
    assert not names & {"sh", "bash", "unshare", "setsid", "cat"}, "something was left running"
    assert "I am the store" in (await run(victim, "cat log/store.log; ls -R")).stdout
    await victim.cut("front", "store")
    assert await victim.is_cut("front", "store")


@pytest.mark.parametrize("name", ["a fork bomb", "everything killed", "everything frozen", "pipes in place of files"])
async def test_a_ruined_lab_can_be_ended(victim: ProcessDeployment, host: Host, run: Exec, name: str) -> None:
    await attempted(run(victim, RUIN[name], 5))
    await victim.down()
    assert not kin(victim.record)
    confined = victim.record.confined
    assert confined
    assert not [group for group in confined.groups if group.exists()]


@pytest.mark.parametrize("where", ["etc/links", "data/front-store", "data", "log", "bin", "etc"])
async def test_a_link_that_is_planted_is_never_followed(
    victim: ProcessDeployment, host: Host, run: Exec, where: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "links").mkdir(parents=True)
    planted = (
        "front-store.json",
        "applied.json",
        "store.log",
        "front.log",
        "supervisord.log",
        "supervisord.conf",
        "python",
    )
    for file in planted:
        (outside / file).write_text(host.secret)
    seen = _tree(tmp_path)
    done = await run(victim, f"mv {where} moved && ln -s {outside} {where} && ls -ld {where}")
    assert str(outside) in done.stdout
    await attempted(victim.cut("front", "store"))
    await attempted(victim.mend("front", "store"))
    await attempted(victim.kill("store"))
    await attempted(victim.start("store"))
    assert _tree(tmp_path) == seen
    await run(victim, f"rm -rf {where}; ln -s {outside} {where}")
    await victim.reset()
    assert _tree(tmp_path) == seen
    await works(victim)
    await run(victim, f"rm -rf {where}; ln -s {outside} {where}")
    await victim.down()
    assert _tree(tmp_path) == seen
    kept = [path.read_text() for path in victim.record.root.rglob("*") if path.is_file()]
    assert not [text for text in kept if host.secret in text]


@pytest.mark.parametrize("kind", ["link", "hard link", "device"])
async def test_single_files_that_lead_out_are_never_read_or_written(
    victim: ProcessDeployment, host: Host, run: Exec, kind: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(f'{{"drop": true, "note": "{host.secret}"}}')
    make = {"link": f"ln -s {outside}", "hard link": f"ln {outside}", "device": "ln -s /dev/zero"}[kind]
    files = "etc/links/front-store.json data/front-store/applied.json log/store.log log/supervisord.log etc/supervisord.conf"
    await run(victim, f"supervisorctl stop link-front; for f in {files}; do rm -f $f; {make} $f; done")
    assert not await victim.is_cut("front", "store")
    await attempted(victim.cut("front", "store"))
    await attempted(victim.mend("front", "store"))
    await victim.reset()
    await works(victim)
    await run(victim, f"for f in {files}; do rm -f $f; {make} $f; done")
    await victim.down()
    assert outside.read_text() == f'{{"drop": true, "note": "{host.secret}"}}'
    assert not [path for path in victim.record.root.rglob("*") if path.is_file() and host.secret in path.read_text()]


def _tree(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() if path.is_file() else "" for path in sorted(folder.rglob("*"))}


async def test_a_session_ends_where_its_lab_ended(victim: ProcessDeployment, run: Exec) -> None:
    assert victim.record.confined
    os.kill(victim.record.confined.init_pid, 9)
    while victim.record.confined.alive:  # noqa: ASYNC110  the kernel announces it to nobody else
        await asyncio.sleep(0.01)
    with pytest.raises(SandboxGone):
        await run(victim, "true")
    assert (await victim.state("store")).value == "stopped"
    await victim.reset()
    await works(victim)
