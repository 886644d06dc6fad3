"""What the whole suite shares: a browser without a network, a Docker lab, and the proof that nothing is left."""

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import pytest_asyncio
import uvicorn

from operatorlab.deploy.compose.bringing import require_images
from operatorlab.deploy.compose.command import compose_command
from operatorlab.deploy.compose.engine import Engine, find_daemon
from operatorlab.deploy.compose.stack import read_stack
from operatorlab.errors import EnvironmentTrouble, NetworkHeld
from subjects.ratelimiter.subject import RateLimiter

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")  # fmt: skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """Headless Chromium. Its tests run in the session's loop: `pytest.mark.asyncio(loop_scope="session")`."""
    playwright = pytest.importorskip("playwright.async_api")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no {CHROMIUM}")
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
def open_page(browser):
    """Opens HTML in a page that has no network."""

    @asynccontextmanager
    async def opened(html, **options):
        page = await browser.new_page(offline=True, **options)
        await page.set_content(html)
        yield page
        await page.close()

    return opened


@pytest.fixture
def serving():
    """Serves an ASGI application on a free port while its context lasts; its address."""

    @asynccontextmanager
    async def served(app):
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        running = asyncio.create_task(server.serve())
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110  uvicorn signals no event
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        await running

    return served


@pytest.fixture(scope="session")
def containers():
    """Skips where labs of containers cannot run, and says why. `OPERATORLAB_REQUIRE_DOCKER=1` makes that a failure."""
    try:
        compose_command()
        stack = read_stack(RateLimiter())
        Engine(find_daemon()).now(lambda client: require_images(client, stack))
    except EnvironmentTrouble as trouble:
        if os.environ.get("OPERATORLAB_REQUIRE_DOCKER"):
            raise
        pytest.skip(f"no labs of containers here: {trouble.what}")


MINUTES = ("tests/security/containers/", "tests/deploy/compose/", "tests/compose/", "procedure/test_contained_live.py")


OF_EVERY_FAULT = (
    "::test_found_in_time_lasting_and_healed_twice_in_a_row[",
    "::test_each_part_has_its_time_each_lasting_one_is_found_and_all_is_healed_twice_in_a_row[",
    "::test_blames_nobody_else[",
    "::test_goes_where_its_ground_truth_says[",
    "::test_what_heals_by_itself_does_so_twice_in_a_row[",
    "::test_what_is_latent_opens_nothing_and_is_healed[",
    "::test_the_failure_stays_without_its_trigger_until_it_is_fixed_twice_in_a_row[",
    "::test_heals_after_every_member_was_killed_meanwhile[",
    "::test_a_reset_undoes_it_and_heal_does_no_harm_afterwards[",
    "::test_a_cheat_is_never_a_clean_repair[",
    "::test_the_reference_fix_is_clean_every_time[",
    "::test_the_idle_baseline_resolves_nothing_and_heal_undoes_each_fault[",
)
SAMPLE = {"node_crash", "redis_partition", "redis_flush"}
IN_CONTAINERS = {"node_crash", "node_hang", "redis_crash", "limit_misconfigured", "redis_partition"}
"""The faults of the quickstart: what the runbook makes of them in containers is tried among the slow tests."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What is slow and runs labs of containers for minutes is marked so: `make test-containers` runs it.

    So are the tests that do the same to fault after fault, but for a few faults: `make test-faults` runs them.
    """
    for item in items:
        if not item.get_closest_marker("slow"):
            continue
        where, _, case = item.nodeid.partition("[")
        named = set(case.rstrip("]").split("-"))
        contract = "tests/contract/" in where and "compose" in named
        runbook = "tests/lab/" in where and "compose" in named and not named & IN_CONTAINERS
        if contract or runbook or any(place in where for place in MINUTES):
            item.add_marker(pytest.mark.minutes)
        elif any(f"{where}[".endswith(test) for test in OF_EVERY_FAULT) and not named & SAMPLE:
            item.add_marker(pytest.mark.every_fault)


LEFT = pytest.StashKey()


def _of_labs_below(folder):
    """Processes of labs whose system lies below `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPERATORLAB_SYSTEM", "").startswith(f"{folder}/"):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def _of_containers(folder):
    """Containers and networks of labs whose record lies below `folder`. Nothing where there is no Docker."""
    runs = {path.parent.name for path in folder.glob("**/runs/*/lab.json") if '"docker":"' in _text(path)}
    if not runs:
        return []
    try:
        with contextlib.closing(docker.DockerClient(base_url=find_daemon(), timeout=5)) as client:
            label = {"label": "operatorlab.run"}
            containers = [one for one in client.containers.list(all=True, filters=label) if _run_of(one) in runs]
            networks = [one for one in client.networks.list(filters=label) if _run_of(one) in runs and not _held(one)]
            return [one.name for one in (*containers, *networks)]
    except (EnvironmentTrouble, docker.errors.DockerException):
        return []


def _run_of(one):
    """The lab that a container or a network belongs to."""
    return one.attrs.get("Config", one.attrs)["Labels"]["operatorlab.run"]


def _held(network):
    """Whether it is there only because Docker does not let go of it, as `NetworkHeld` says. Else it is gone now."""
    network.reload()
    if network.attrs["Containers"]:
        return False
    try:
        network.remove()
    except docker.errors.APIError as refusal:
        return "active endpoints" in refusal.explanation
    return False


def _text(path):
    return path.read_text(errors="replace").replace(" ", "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test is skipped, and says why, if Docker held a network of its lab: no code but Docker's own could help."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, NetworkHeld):
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, line, str(call.excinfo.value))
    return report


def pytest_sessionfinish(session):
    """A suite that leaves a process, a container or a network behind has failed, whatever its tests say."""
    if hasattr(session.config, "workerinput"):
        return
    folder = session.config._tmp_path_factory.getbasetemp()
    left = _of_labs_below(folder) + _of_containers(folder)
    session.config.stash[LEFT] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    left = config.stash.get(LEFT, [])
    terminalreporter.line(
        "\n".join(["left behind:", *left]) if left else "no process, container or network of a lab is left behind"
    )


# ── Docker ─────────────────────────────────────────────────────────────────────────────────────

TINY = "operatorlab-test/tiny:1"
APPLETS = ("cat", "dd", "echo", "head", "sh", "sleep", "true")


@pytest.fixture(scope="session")
def docker_engine():
    """A client of the real Docker daemon. Without a daemon that answers, its tests are skipped."""
    docker = pytest.importorskip("docker")
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as away:
        pytest.skip(f"no Docker daemon answers: {away}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def tiny_image(docker_engine, tmp_path_factory):
    """The name of an image with a shell and little else, made here without any network."""
    if not any(TINY in image.tags for image in docker_engine.images.list()):
        busybox = shutil.which("busybox")
        if busybox is None:
            pytest.skip("no busybox: apt-get install busybox-static")
        archive = tmp_path_factory.mktemp("tiny") / "root.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox, "bin/busybox")
            for name in APPLETS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        docker_engine.api.import_image_from_file(str(archive), *TINY.split(":"))
    return TINY


@dataclass(frozen=True)
class TinyLab:
    """A Compose project like a lab's: `node-1` to `node-3` are the operator's, `keeper` is the harness's."""

    project: str
    folder: Path
    stranger: str
    engine: Any

    @property
    def environment(self):
        return {**os.environ, "COMPOSE_PROJECT_NAME": self.project}

    def id(self, service):
        """The full id of a service's only container, None if there is none."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        found = self.engine.api.containers(all=True, filters={"label": labels})
        return found[0]["Id"] if found else None

    def compose(self, *argv, **more):
        """Run docker-compose in the lab's folder, past any guard unless `more` says otherwise."""
        more.setdefault("env", self.environment)
        return subprocess.run(
            ["docker-compose", *argv], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False, **more
        )


COMPOSE = """
version: "2.4"
x-member: &member
  image: {image}
  command: [sh, -c, "trap 'echo line-of-log' USR1; while :; do sleep 1; done"]
  init: true
  read_only: true
  tmpfs: ["/tmp:size=1m"]
  mem_limit: 32m
  cpus: 0.5
  pids_limit: 50
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  logging: {{driver: json-file, options: {{max-size: 1m, max-file: "2"}}}}
  networks: [lab]
  labels: {{operatorlab.part: system, operatorlab.run: {project}}}
services:
  node-1: *member
  node-2: *member
  node-3: *member
  keeper:
    <<: *member
    labels: {{operatorlab.part: harness, operatorlab.run: {project}}}
networks:
  lab:
    internal: true
    ipam: {{config: [{{subnet: {subnet}}}]}}
    labels: {{operatorlab.part: system, operatorlab.run: {project}}}
"""


@pytest.fixture(scope="module")
def tiny_lab(docker_engine, tiny_image, tmp_path_factory):
    """A lab of little containers, and one container of somebody else."""
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose")
    project = f"tiny-{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp("lab")
    stranger = docker_engine.containers.run(
        tiny_image, ["sleep", "1000000"], init=True, detach=True, name=f"stranger-{project}", network_mode="none"
    )
    lab = TinyLab(project, folder, stranger.id, docker_engine)
    try:
        for _ in range(10):  # another test may have the subnet
            number = secrets.randbelow(256) * 16
            subnet = f"10.213.{192 + number // 256}.{number % 256}/28"
            text = COMPOSE.format(image=tiny_image, project=project, subnet=subnet)
            (folder / "docker-compose.yml").write_text(text)
            up = lab.compose("up", "-d")
            if "overlap" not in up.stderr:
                break
        assert up.returncode == 0, up.stderr
        yield lab
    finally:
        lab.compose("down", "-t", "1", "--remove-orphans")
        stranger.remove(force=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tiny_lab, tmp_path_factory):
    """The configuration of a guard that runs for the tiny lab."""
    from operatorlab.audit import AuditStore
    from operatorlab.sandbox.guard import Guard, Lab, capture

    folder = tmp_path_factory.mktemp("guard")
    lab = Lab(
        project=tiny_lab.project,
        run=tiny_lab.project,
        socket=folder / "docker.sock",
        audit=folder / "audit.db",
        templates=folder / "templates.json",
    )
    with AuditStore(lab.audit) as audit:
        audit.begin_run(lab.run, "tiny", "compose", str(tiny_lab.folder))
    (await capture(lab.project, lab.run)).write(lab.templates)
    async with Guard(lab):
        yield lab


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`OPERATORLAB_HOME` for one test, which leaves no process of its labs behind."""
    home = tmp_path / "home"
    monkeypatch.setenv("OPERATORLAB_HOME", str(home))
    yield home
    runs = home / "runs"
    ours = {run.name for run in runs.iterdir()} if runs.is_dir() else set()
    assert not _processes_of(ours)


def _processes_of(runs: set[str]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPERATORLAB_RUN") in runs:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
