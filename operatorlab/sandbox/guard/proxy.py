"""The guard at work: one request a connection, decided, recorded, then sent to the daemon anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

from operatorlab.errors import AuditError
from operatorlab.sandbox.guard import bodies, policy, streams, views
from operatorlab.sandbox.guard.daemon import Daemon, DaemonAway, Upstream
from operatorlab.sandbox.guard.http import Request, answer_bytes, read_request
from operatorlab.sandbox.guard.lab import SERVICE, Lab
from operatorlab.sandbox.guard.policy import Asked
from operatorlab.sandbox.guard.record import Record
from operatorlab.sandbox.guard.refusal import Refused, malformed, not_there
from operatorlab.sandbox.guard.strict import parse_object
from operatorlab.sandbox.guard.templates import Templates

_CONNECTIONS = 128
_REQUEST_TIMEOUT_S = 30.0
_EXECS = 10_000
_SPARE = 4  # containers beyond one a service: what Compose needs while it re-creates, and a few more

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Answers connections for one lab."""

    def __init__(self, lab: Lab, record: Record) -> None:
        self._lab = lab
        self._record = record
        self._daemon = Daemon(lab.docker)
        self._open = 0
        self._execs: OrderedDict[str, str] = OrderedDict()
        self._creating = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its request to the end of its answer."""
        self._open += 1
        try:
            await self._serve((reader, writer))
        except (ConnectionError, TimeoutError):
            pass  # whoever asked is gone, or never did ask
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, asker: Connection) -> None:
        request: Request | None = None
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                request = await read_request(asker[0])
            if request is not None:
                await self._answer(request, asker)
        except Refused as refused:
            await self._refuse(request, refused, asker)
        except DaemonAway as away:
            await _say(asker, 503, {"message": f"{away}; try again, the lab itself may still be running"})
        except AuditError:
            await _say(asker, 503, {"message": "nothing can be recorded, so nothing is done"})

    async def _refuse(self, request: Request | None, refused: Refused, asker: Connection) -> None:
        method, target = (request.method, request.target) if request else ("?", "?")
        path, _, query = target.partition("?")
        try:
            await self._record.refused(method, path, query, refused.why)
        except AuditError:
            await _say(asker, 503, {"message": "nothing can be recorded, so nothing is done"})
            return
        await _say(asker, refused.status, {"message": refused.message}, head_only=method == "HEAD")

    # ── deciding ───────────────────────────────────────────────────────────────────────────────

    async def _answer(self, request: Request, asker: Connection) -> None:
        if self._open > _CONNECTIONS:
            raise Refused(f"at most {_CONNECTIONS} connections at a time are taken", status=503)
        asked = policy.understand(request, await self._daemon.version())
        if asked.route.alters and self._lab.mode != "operate":
            raise Refused("this lab may be looked at, not changed")
        if request.upgrade and asked.route.does != "hijack":
            raise malformed("only attach and exec take an upgrade")
        match asked.route.does:
            case "create":
                await self._create(asked, request, asker)
            case "forward" | "hijack" | "exec":
                await self._forward(asked, request, asker)
            case _:
                await self._view(asked, asker)

    async def _allow(self, asked: Asked, name: str = "") -> None:
        await self._record.allowed(asked.method, asked.route.path, name or asked.name)

    async def _containers(self) -> list[dict[str, Any]]:
        return views.own_of(await self._daemon.containers(self._lab.labels()), self._lab)

    async def _networks(self) -> list[dict[str, Any]]:
        return views.own_of(await self._daemon.networks(self._lab.labels()), self._lab)

    def _templates(self) -> Templates:
        try:
            return Templates.read(self._lab.templates)
        except (OSError, ValueError) as missing:
            raise Refused("it is not known yet how the services of this lab came up", status=503) from missing

    # ── forwarding ─────────────────────────────────────────────────────────────────────────────

    async def _forward(self, asked: Asked, request: Request, asker: Connection) -> None:
        """A request about one thing of the lab's, which goes on under its full id."""
        target, shown = await self._resolve(asked)
        body = await self._body(asked, request, target)
        await self._allow(asked, shown)
        if asked.route.does == "exec":
            await self._make_exec(asked, target, body, asker)
            return
        upstream = await self._daemon.open(asked.method, asked.target(target), body, upgrade=request.upgrade)
        with contextlib.closing(upstream.writer):
            await _pass_on(upstream, asker, request, hijack=asked.route.does == "hijack")

    async def _resolve(self, asked: Asked) -> tuple[str, str]:
        """The full name of what is asked about, and the name to record it by."""
        match asked.route.kind:
            case "container":
                own = await self._containers()
                id_ = policy.find_container(asked.name, own)
                if asked.route.path.endswith("/rename"):
                    self._check_rename(asked, id_, own)
                return id_, _title(id_, own)
            case "network":
                networks = await self._networks()
                id_ = policy.find_network(asked.name, networks)
                return id_, next(each["Name"] for each in networks if each["Id"] == id_)
            case "exec":
                return asked.name, await self._exec_of(asked.name)
            case "image":
                policy.check_image(asked.name, self._templates())
            case "volume":
                raise not_there("volume", asked.name)
        return asked.name, asked.name

    async def _exec_of(self, exec_id: str) -> str:
        """The container of an exec that was made here."""
        own = await self._containers()
        container = self._execs.get(exec_id)
        if container is None or container not in {each["Id"] for each in own}:
            raise not_there("exec", exec_id)
        return _title(container, own)

    def _check_rename(self, asked: Asked, id_: str, own: list[dict[str, Any]]) -> None:
        service = next(each["Labels"].get(SERVICE, "") for each in own if each["Id"] == id_)
        policy.check_name(asked.query.get("name", ""), self._lab.project, [service])

    async def _body(self, asked: Asked, request: Request, target: str) -> Any:
        """The body that goes on: checked, or none."""
        if not asked.route.body:
            return None  # clients send {} or null where nothing is needed
        data = parse_object(request.body) if request.body else {}
        match asked.route.body:
            case "exec":
                return bodies.execute(data)
            case "start":
                return bodies.start_exec(data)
            case "update":
                return bodies.update(data, await self._template_of(target))
            case "connect":
                return bodies.connect(data, await self._named_in(data))
            case _:
                return bodies.disconnect(data, await self._named_in(data))

    async def _named_in(self, data: dict[str, Any]) -> str:
        return policy.find_container(bodies.text(data.get("Container")), await self._containers())

    async def _template_of(self, container: str) -> Any:
        service = next(each["Labels"].get(SERVICE) for each in await self._containers() if each["Id"] == container)
        template = self._templates().services.get(service)
        if template is None:
            raise Refused("it is not known how this service came up")
        return template

    async def _make_exec(self, asked: Asked, container: str, body: Any, asker: Connection) -> None:
        upstream = await self._daemon.open("POST", asked.target(container), body)
        status, data = await self._daemon.finish(upstream)
        if status == 201:
            self._execs[data["Id"]] = container
            if len(self._execs) > _EXECS:
                self._execs.popitem(last=False)
        await _say(asker, status, data)

    async def _create(self, asked: Asked, request: Request, asker: Connection) -> None:
        """A container like one the lab came up with, one at a time so that counting them means something."""
        data = parse_object(request.body)
        templates, own = self._templates(), await self._networks()
        networks = {name for each in own for name in (each["Id"], each["Name"])}
        body = bodies.create(data, self._lab, templates, networks)
        name = asked.query.get("name", "")
        policy.check_name(name, self._lab.project, [bodies.service_of(data)])
        async with self._creating:
            if len(await self._containers()) >= 2 * len(templates.services) + _SPARE:
                raise Refused("this lab has as many containers as it may have")
            await self._allow(asked, name)
            upstream = await self._daemon.open("POST", asked.target(), body)
            status, data = await self._daemon.finish(upstream)
        await _say(asker, status, data)

    # ── views ──────────────────────────────────────────────────────────────────────────────────

    async def _view(self, asked: Asked, asker: Connection) -> None:
        """An answer that is looked through before it is given."""
        lab = self._lab
        match asked.route.does:
            case "events":
                query = views.events_query(asked.query, lab)
                await self._allow(asked)
                upstream = await self._daemon.open("GET", asked.target(query=query))
                with contextlib.closing(upstream.writer):
                    await _pass_on(upstream, asker, None, hijack=False)
                return
            case "containers":
                target = asked.target(query=views.containers_query(asked.query, lab))
            case "networks":
                target = asked.target(query=views.networks_query(asked.query, lab))
            case "network":
                target = asked.target((await self._resolve(asked))[0])
            case _:
                target = asked.target(query={})
        await self._allow(asked)
        if asked.route.does == "volumes":
            await _say(asker, 200, views.VOLUMES)
            return
        status, data = await self._daemon.ask(target)
        await _say(asker, status, await self._shown(asked, data) if status == 200 else data)

    async def _shown(self, asked: Asked, data: Any) -> object:
        match asked.route.does:
            case "containers":
                return views.own_of(data, self._lab)
            case "networks":
                own = {each["Id"] for each in await self._containers()}
                return [views.network(each, own) for each in views.own_of(data, self._lab)]
            case "network":
                return views.network(data, {each["Id"] for each in await self._containers()})
            case "images":
                return views.images(data, self._templates())
            case _:
                return views.info(data, await self._containers(), self._templates())


def _title(id_: str, own: list[dict[str, Any]]) -> str:
    """A container's name, for the record."""
    return next(str(each["Names"][0]).lstrip("/") for each in own if each["Id"] == id_)


async def _say(asker: Connection, status: int, data: object, *, head_only: bool = False) -> None:
    asker[1].write(answer_bytes(status, data, {}, head_only=head_only))
    await asker[1].drain()


async def _pass_on(upstream: Upstream, asker: Connection, request: Request | None, *, hijack: bool) -> None:
    """The daemon's answer as it comes."""
    asker[1].write(upstream.head)
    if hijack and request is not None and upstream.status in (101, 200):
        await streams.hijacked((upstream.reader, upstream.writer), asker, request.rest)
    else:
        await streams.answer(upstream.reader, asker[1], asker[0])
