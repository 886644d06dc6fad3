"""Secrets do not reach the file, by whatever way they come; what is no secret does."""

from __future__ import annotations

import json
import string
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from operatorlab.audit import AuditStore, ModelCall, redact
from operatorlab.audit.redaction import Redactor, secrets_of
from operatorlab.audit.secret_shapes import MARK

_WORD = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40).map("Zq7{}".format)
_PLACES: dict[str, Callable[[str], str]] = {
    "anthropic key": lambda s: f"sk-ant-api03-{s}",
    "other provider's key": lambda s: f"sk-proj-{s}{s}",
    "github token": lambda s: f"ghp_{s}{s}",
    "aws key id": lambda s: f"AKIA{s.upper():A<16.16}",
    "aws secret": lambda s: f"aws_secret_access_key = {s}",
    "aws secret in JSON": lambda s: json.dumps({"SecretAccessKey": s}),
    "bearer": lambda s: f"curl -H 'Authorization: Bearer {s}' http://localhost/",
    "basic": lambda s: f"Authorization: Basic {s}==\r\nHost: x",
    "plain authorization": lambda s: f'{{"authorization": "{s}"}}',
    "api key header": lambda s: f"x-api-key: {s}",
    "private key": lambda s: f"-----BEGIN RSA PRIVATE KEY-----\n{s}\n{s}\n-----END RSA PRIVATE KEY-----",
    "private key cut off": lambda s: f"-----BEGIN PRIVATE KEY-----\n{s}\n{s}",
    "private key's tail": lambda s: f"{s:x<16}\n{s:x<16}\n-----END OPENSSH PRIVATE KEY-----",
    "password=": lambda s: f"password={s}",
    "password in YAML": lambda s: f"  password: '{s}'",
    "password in JSON": lambda s: json.dumps({"db_password": s, "x": 1}),
    "password in JSON in JSON": lambda s: json.dumps(json.dumps({"password": s})),
    "password with blanks": lambda s: f'PGPASSWORD="a {s} b" psql',
    "password option": lambda s: f"mysql --password {s} -e 'select 1'",
    "variable": lambda s: f"export SERVICE_API_KEY={s}",
    "token": lambda s: f"token: x{s}",
    "query string": lambda s: f"GET /x?api_key={s}&page=2",
    "URL": lambda s: f"redis://:{s}@127.0.0.1:6379/0",
    "URL with a user": lambda s: f"https://bob:p@{s}@example.org/x",
    "requirepass": lambda s: f"requirepass {s}",
    "requirepass option": lambda s: f"redis-server --requirepass {s} --port 1",
    "requirepass reply": lambda s: f'1) "requirepass"\n2) "{s}"',
    "requirepass raw reply": lambda s: f"requirepass\n{s}\n",
    "config set": lambda s: f"redis-cli config set requirepass {s}",
    "masterauth": lambda s: f'masterauth "{s}"',
    "AUTH": lambda s: f"AUTH {s}",
    "AUTH with a user": lambda s: f"AUTH default {s}",
    "AUTH on the wire": lambda s: f"*2\r\n$4\r\nAUTH\r\n${len(s)}\r\n{s}\r\n",
    "redis-cli auth": lambda s: f"redis-cli -p 6379 auth {s}",
    "redis-cli -a": lambda s: f"redis-cli -h localhost -a {s} ping",
    "ACL": lambda s: f"ACL SETUSER bob on >{s} ~*",
    "curl -u": lambda s: f"curl -s -u bob:{s} http://localhost/",
}


@pytest.mark.parametrize("place", sorted(_PLACES))
@given(
    secret=_WORD,
    before=st.sampled_from(["", "\n", "log: ", "{", "é "]),
    after=st.sampled_from(["", "\n", "; ls", " é"]),
)
@settings(max_examples=25)
def test_a_planted_secret_is_hidden(place: str, secret: str, before: str, after: str) -> None:
    shown = redact(before + _PLACES[place](secret) + after)
    hidden = f"{secret.upper():A<16.16}" if place == "aws key id" else secret
    assert hidden not in shown
    assert MARK in shown
    assert redact(shown) == shown


@given(
    planted=st.lists(st.tuples(st.sampled_from(sorted(_PLACES)), _WORD), min_size=1, max_size=4),
    literal=st.text(string.printable + "äß€\"\\'", min_size=8, max_size=30).filter(lambda s: len(s.strip()) >= 8),
)
@settings(max_examples=25, deadline=None)
def test_no_planted_secret_is_in_the_bytes_of_the_file(planted: list[tuple[str, str]], literal: str) -> None:
    assume(literal.strip().encode() not in _own_words())
    text = "\n".join(_PLACES[place](secret) for place, secret in planted) + "\n| " + literal
    stored = _stored(text, literal)
    secrets = {literal.strip(), json.dumps(literal.strip())[1:-1], quote(literal.strip())}
    secrets |= {secret for place, secret in planted if place != "aws key id"}
    assert [secret for secret in secrets if secret.encode() in stored] == []


@cache
def _own_words() -> bytes:
    """What a file holds that nobody has told anything: a secret that reads like `fault.memo` is found in any."""
    return _stored("x", "")


def _stored(text: str, literal: str) -> bytes:
    """The bytes of the files after `text` was said everywhere; `literal` is a secret of the environment."""
    with (
        TemporaryDirectory() as folder,
        AuditStore(Path(folder) / "audit.db", environment={"X_TOKEN": literal}) as store,
    ):
        _say_everywhere(store, text)
        assert store.verify().ok
        names = sorted(file.name for file in Path(folder).iterdir())
        assert names == ["audit.db", "audit.db-shm", "audit.db-wal"]
        return b"".join((Path(folder) / name).read_bytes() for name in names)


def _say_everywhere(store: AuditStore, text: str) -> None:
    """Put `text` into every place that takes text from outside."""
    store.begin_run("r-1", "x", "processes", text, options={"said": text})
    with store.atomic() as db:
        db.execute("insert into incidents(id, run, opened_at, opened_mono) values ('i-1', 'r-1', 'now', 0)")
    session = store.begin_session("r-1", "i-1", "claude", text, 1)
    command = store.begin_command(session, text, text)
    store.end_command(command, 0, 0.1, text * 3, text)
    call = store.begin_model_call(session, "opus")
    content = [{"type": "text", "text": text}, {"type": "tool_use", "input": {"command": text}}]
    store.end_model_call(call, ModelCall(0.1, content=content, error=text, priced_by=text))
    fault = store.begin_fault("r-1", text, text, {"mechanism": text})
    store.set_fault_memo(fault, {text: text})
    store.end_session(session, "escalated", {"mechanism": [text]}, text)
    store.end_run("r-1", text)
    store.append("said", {"deep": [{"er": (text,)}], text: 1}, run="r-1")


@pytest.mark.parametrize(
    "text",
    [
        "the auth service is down",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair",
        "key: user:42",
        "input_tokens=55 max_tokens: 4096",
        "http://127.0.0.1:8000/check?key=user:42",
        "bearer of news",
        "passed 3 of 3",
        "see https://example.org/a@b",
        "node-1                           RUNNING   pid 4711, uptime 0:00:12",
        "used_memory_human:1.02M\r\nconnected_clients:7",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=200))
def test_ordinary_text_only_changes_where_something_is_marked(text: str) -> None:
    shown = redact(text)
    assert shown == text.encode("utf-8", "backslashreplace").decode() or MARK in shown


def test_secrets_in_fields_are_hidden_by_the_fields_name(store: AuditStore) -> None:
    payload = {
        "password": "blue",
        "api_key": "k",
        "key": "user:42",
        "requirepass": "",
        "tokens": 3,
        "in": {"secret": "x"},
    }
    event = store.append("noted", payload)
    assert event.payload == {
        "password": MARK, "api_key": MARK, "key": "user:42", "requirepass": "", "tokens": 3, "in": {"secret": MARK},
    }  # fmt: skip


def test_variables_that_hold_secrets_are_known_by_their_names() -> None:
    secret = [
        "ANTHROPIC_API_KEY",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "MYSQL_PWD",
        "AWS_SECRET_ACCESS_KEY",
        "MY_SECRET_2",
        "BASIC_AUTH",
    ]
    plain = ["PATH", "PWD", "OLDPWD", "HOME", "SSH_AUTH_SOCK", "KEYBOARD", "TOKENIZERS_PARALLELISM", "PASSAGE"]
    assert secrets_of({name: name.lower() for name in secret + plain}) == tuple(name.lower() for name in secret)


def test_short_values_of_variables_are_words_of_every_day() -> None:
    assert Redactor(["yes", "1", "   "])("yes, 1 node") == "yes, 1 node"


def test_a_value_is_hidden_however_it_is_spelled() -> None:
    clean = Redactor(['se"cr/et word', "se"])
    assert clean('se"cr/et word') == MARK
    assert clean(json.dumps({"x": 'a se"cr/et word'})) == f'{{"x": "a {MARK}"}}'
    assert clean("/?q=se%22cr%2Fet%20word") == f"/?q={MARK}"


def test_the_environment_of_the_process_is_the_default(path: Path) -> None:
    with AuditStore(path) as store:
        assert store.redact("nothing to hide") == "nothing to hide"


@pytest.mark.parametrize(
    "hostile",
    ["a-" * 60_000, "password " * 12_000, "redis-cli " * 12_000, "://" * 40_000, '"\\' * 60_000, "AUTH " * 24_000,
     "-----BEGIN PRIVATE KEY-----" * 4_000, "secret='" * 15_000, ("A" * 16 + "\n") * 7_000, 'password="\\a' * 10_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_hostile_text_costs_linear_time(hostile: str) -> None:
    needles = " password token auth private key redis-cli curl authorization requirepass"
    seconds = []
    for size in (len(hostile) // 4, len(hostile)):
        began = time.process_time()
        redact(hostile[:size] + needles)
        seconds.append(time.process_time() - began)
    # Four times the text: a quadratic pattern takes sixteen times as long, and seconds instead of a tenth.
    assert seconds[1] < max(9 * seconds[0], 0.5)
