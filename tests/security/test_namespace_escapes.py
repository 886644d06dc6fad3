"""Ways out of the boundary, tried from inside by an operator's shell. None may lead anywhere.

A try prints BREACH where it got what it wanted, or the host's secret; the last line shows that it was made at all.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from operatorlab.deploy.processes import ProcessDeployment
from tests.security.conftest import REPOSITORY, Exec, Host, works

pytestmark = pytest.mark.asyncio(loop_scope="module")

_C = "python3 -c 'import ctypes, os, socket, sys; libc = ctypes.CDLL(None, use_errno=True)\n{}'"
_CONNECT = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{}' && echo BREACH"

TRIES = {
    # files
    "the audit by path": "cat {home}/audit.db* && echo BREACH",
    "the harness's home": "ls {home} && echo BREACH",
    "a file that all may read": "cat {file}",
    "the repository": "cat {repository}/pyproject.toml {repository}/README.md && echo BREACH",
    "faults by name": "find / -xdev \\( -name '*node_crash*' -o -name '*limit_misconfigured*' \\) 2>/dev/null | grep . "
    "&& echo BREACH",
    "faults by their text": "grep -rlE 'class .*\\(Fault\\)|GroundTruth' /opt /lab /etc 2>/dev/null && echo BREACH",
    "faults by import": "python3 -c 'import subjects.ratelimiter.faults' && echo BREACH",
    "the procedure by import": "python3 -c 'import subjects.ratelimiter.procedure' && echo BREACH",
    "the invariants by import": "python3 -c 'import subjects.ratelimiter.invariants' && echo BREACH",
    "the harness by import": "python3 -c 'import operatorlab.audit' && echo BREACH",
    "the harness's lists of files": "python3 -c 'import importlib.metadata as m; print(len(m.distribution(\"operatorlab\").files))' "
    "&& echo BREACH",
    "other processes' roots": "for p in /proc/[0-9]*; do cat $p/root{file} $p/cwd{file}; done",
    "other processes' open files": "ls -l /proc/*/fd /proc/*/cwd /proc/*/exe 2>/dev/null | grep -e {home} -e audit "
    "&& echo BREACH",
    "the root of the first process": "cat /proc/1/root{file}; ls /proc/1/root/root/.ssh && echo BREACH",
    "password hashes": "cat /etc/shadow && echo BREACH; grep -c . /etc/passwd | grep -v '^2$' && echo BREACH",
    "another lab's files": "ls {other_root} && echo BREACH; cat {other_root}/etc/secret",
    "writing to the system": "touch /usr/bin/x /etc/x /opt/lab/x /x 2>/dev/null && echo BREACH",
    "writing to the subject's code": "echo >> /opt/lab/link.py && echo BREACH",
    # processes
    "environments": "cat /proc/*/environ | tr '\\0' '\\n' | grep -a -i -e anthropic -e pytest && echo BREACH",
    "command lines": "cat /proc/*/cmdline | tr '\\0' ' ' | grep -a -q -e 'pytes[t]' -e 'faults injec[t]' && echo BREACH",
    "keys in its own environment": "env | grep -i -e anthropic -e _key -e token && echo BREACH",
    "the harness by its pid": "cat /proc/{harness}/environ /proc/{harness}/maps 2>/dev/null | grep -a -i anthropic "
    "&& echo BREACH",
    "killing a process of the host": "kill -9 {victim} && echo BREACH",
    "killing the harness": "kill -0 {harness} 2>/dev/null && grep -q pytest /proc/{harness}/cmdline && echo BREACH",
    "tracing a process of the host": _C.format('print("BREACH") if libc.ptrace(16, {victim}, 0, 0) == 0 else 0'),
    "reading a process's memory": _C.format('print("BREACH") if os.path.exists("/proc/{victim}/mem") else 0'),
    "a pidfd of a process of the host": _C.format(
        'try: os.pidfd_open({victim}); print("BREACH")\nexcept OSError: pass'
    ),
    "joining the host's namespaces": "nsenter -t 1 -m -n -p --root=/proc/1/root ls {file} && echo BREACH",
    # network
    "a listener of the host": _CONNECT.format("127.0.0.1", "{tcp}"),
    "a listener of the host over UDP": "echo x > /dev/udp/127.0.0.1/{udp}",
    "an abstract socket of the host": _C.format(
        's = socket.socket(socket.AF_UNIX); s.connect(bytes.fromhex("{abstract}")); print("BREACH")'
    ),
    "a socket file of the host": _C.format('socket.socket(socket.AF_UNIX).connect("{path}"); print("BREACH")'),
    "the Docker daemon": "ls /var/run/docker.sock /run/docker.sock && echo BREACH; "
    "timeout 3 docker ps 2>/dev/null && echo BREACH",
    "another lab's member": _CONNECT.format("127.0.0.1", "{other_port}"),
    "the host by its address": _CONNECT.format("{address}", "22") + "; cat /proc/net/route | grep -v ^Iface "
    "&& echo BREACH",
    "raw packets": _C.format('socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); print("BREACH")'),
    "raw ICMP": _C.format('socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("BREACH")'),
    # mounts and devices
    "mounting": "mount -t tmpfs x /tmp && echo BREACH",
    "mounting the disk": "mount {disk} /tmp && echo BREACH",
    "making the system writable": "mount -o remount,rw,bind /usr && echo BREACH",
    "uncovering by umount": "umount /proc /lab /usr; umount -l /etc/passwd && echo BREACH",
    "pivot_root": "mkdir -p /tmp/new/old; pivot_root /tmp/new /tmp/new/old && echo BREACH",
    "chroot": "python3 -c 'import os; os.chroot(\"/tmp\")' && echo BREACH",
    "a device of the disk": "mknod /tmp/disk b 254 0 && cat /tmp/disk | head -c 1 && echo BREACH",
    "devices that are there": "ls /dev/sd* /dev/vd* /dev/mem /dev/kmsg /dev/kvm /dev/fuse 2>/dev/null && echo BREACH",
    "mounts of a user namespace": "unshare -Urm sh -c 'mount -o remount,rw,bind /usr && touch /usr/BREACHED' "
    "&& echo BREACH; unshare -Urm sh -c 'umount /etc/passwd || umount /proc' && echo BREACH",
    "a new proc in a user namespace": "unshare -Urmpf --mount-proc sh -c 'cat /proc/*/environ' | "
    "grep -a -i anthropic && echo BREACH",
    "the lab's network from a user namespace": "unshare -Ur "
    + _C.format('socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); print("BREACH")'),
    "a device in a user namespace": "unshare -Ur sh -c 'mknod /tmp/d b 254 0 && head -c 1 /tmp/d' && echo BREACH",
    "control groups in a user namespace": "unshare -UrmC sh -c '(mount -t cgroup -o memory x /tmp || "
    "mount -t cgroup2 x /tmp) && (mkdir /tmp/x || echo -1 > /tmp/memory.limit_in_bytes || echo max > /tmp/memory.max || "
    "echo /bin/sh > /tmp/release_agent)' && echo BREACH",
    # privileges
    "su": "su -c id </dev/null | grep uid=0 && echo BREACH",
    "sudo": "sudo -n id | grep uid=0 && echo BREACH",
    "other programs of root": "find /usr/bin /usr/sbin -perm -4000 | head -20 | while read f; do timeout 2 $f -c id; done "
    "</dev/null 2>&1 | grep uid=0 && echo BREACH; /usr/bin/newgrp root -c id | grep 'gid=0' && echo BREACH",
    "becoming root": _C.format('os.setuid(0); print("BREACH")'),
    "a program of root of its own": "cp /bin/bash /lab/data/b; chmod 6755 /lab/data/b; /lab/data/b -p -c id | grep uid=0 "
    "&& echo BREACH; rm /lab/data/b",
    "capabilities": "grep -E 'Cap(Prm|Eff|Inh|Amb)' /proc/self/status | grep -v 0000000000000000 && echo BREACH",
    "new privileges": "grep 'NoNewPrivs:.*0' /proc/self/status && echo BREACH",
    # the kernel
    "sysctls": "echo x > /proc/sys/kernel/core_pattern && echo BREACH; sysctl -w vm.overcommit_memory=1 "
    "2>/dev/null | grep '= 1' && echo BREACH; echo 1 > /proc/sys/net/ipv4/ip_forward && echo BREACH",
    "sysrq": "echo h > /proc/sysrq-trigger && echo BREACH",
    "sysfs": "ls /sys/kernel /sys/fs && echo BREACH",
    "control groups": "echo $$ > /sys/fs/cgroup/memory/cgroup.procs && echo BREACH",
    "a kernel module": _C.format('print("BREACH") if libc.syscall(313, 0, b"", 0) == 0 else 0'),
    "kexec": _C.format('print("BREACH") if libc.syscall(246, 0, 0, 0, 0) == 0 else 0'),
    "the clock": "date -s '2001-01-01' 2>/dev/null >&2 && echo BREACH; date +%Y | grep 2001 && echo BREACH",
    "the host's name": "hostname evil && echo BREACH",
    "rebooting": _C.format('print("BREACH") if libc.reboot(0x89ABCDEF) == 0 else 0'),
    "keys in the kernel": "grep -e {secret} /proc/keys && echo BREACH; "
    + _C.format('print("BREACH") if libc.syscall(250, 10, -3, b"user", b"{secret}", 0) > 0 else 0'),
    "kernel memory": "head -c 1 /proc/kcore && echo BREACH; head -c 1 /dev/mem && echo BREACH",
    "typing into a terminal": _C.format(
        'import fcntl\nfor fd in (0, 1, 2):\n    try: fcntl.ioctl(fd, 0x5412, b"x"); print("BREACH")\n'
        "    except OSError: pass"
    )
    + "; cat < /dev/tty && echo BREACH",
    "more than its limits": "ulimit -Hu 100000 && echo BREACH; ulimit -Hn 100000 && echo BREACH; "
    "ulimit -Hc unlimited && echo BREACH; echo -1000 > /proc/self/oom_score_adj && echo BREACH",
    "a core dump": "ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls core* 2>/dev/null && echo BREACH",
}


def given(host: Host, other: ProcessDeployment) -> dict[str, object]:
    tcp, udp, abstract, path = (one.getsockname() for one in host.listeners)
    disk = subprocess.run(["findmnt", "-no", "SOURCE", "/"], capture_output=True, text=True, check=False).stdout
    return {
        "home": host.folder / "home",
        "file": host.file,
        "repository": REPOSITORY,
        "harness": os.getpid(),
        "victim": host.victim,
        "secret": host.secret,
        "tcp": tcp[1],
        "udp": udp[1],
        "abstract": bytes(abstract).hex(),
        "path": path,
        "other_root": other.record.outside,
        "other_port": other.address("store")[1],
        "address": subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split(" ")[0]
        or "192.0.2.1",
        "disk": disk.strip() or "/dev/vda",
    }


def filled(command: str, values: dict[str, object]) -> str:
    for name, value in values.items():
        command = command.replace(f"{{{name}}}", str(value))
    return command


@pytest.mark.parametrize("name", TRIES)
async def test_a_try_leads_nowhere(
    lab: ProcessDeployment, other: ProcessDeployment, host: Host, run: Exec, name: str
) -> None:
    command = filled(TRIES[name], given(host, other))
    tried = await run(lab, f"{command}\necho tried")
    assert tried.stdout.endswith("tried\n"), tried
    assert "BREACH" not in tried.stdout
    assert host.secret not in tried.stdout.replace(f"{command}", "")
    assert host.heard() == []
    await works(lab)


@pytest.mark.parametrize(
    "name",
    ["the audit by path", "the harness's home", "a file that all may read", "the repository",
     "environments", "a pidfd of a process of the host", "a listener of the host",
     "an abstract socket of the host", "a socket file of the host", "another lab's member", "sysfs",
     "another lab's files"],
)  # fmt: skip
async def test_the_same_try_succeeds_where_there_is_no_boundary(
    lab: ProcessDeployment, other: ProcessDeployment, host: Host, name: str
) -> None:
    """What leads somewhere on the bare host is a real try."""
    command = filled(TRIES[name], given(host, other))
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=20)
    told = done.stdout.decode(errors="replace")
    assert "BREACH" in told or host.secret in told, told
    host.heard()
