"""What a shell command does to a system, by rules: reads, changes or destroys; `unknown` where the rules cannot tell.

They judge the text, not the effect: a label for reading many commands at once. What really changed is in the
inventories. `tests/agent/commands.yaml` is the labelled set the rules are measured on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from enum import StrEnum


class Doing(StrEnum):
    """What a command does."""

    READING = "reading"
    UNKNOWN = "unknown"
    MUTATING = "mutating"
    DESTRUCTIVE = "destructive"


_SEVERITY = list(Doing)
_READERS = frozenset({
    ":", "[", "[[", "awk", "basename", "break", "cat", "cd", "column", "continue", "curl", "cut", "date", "df",
    "diff", "dig", "dirname", "docker", "docker-compose", "du", "echo", "egrep", "env", "exit", "export", "false",
    "fgrep", "file", "find", "free", "getent", "grep", "head", "hostname", "id", "ip", "jq", "less", "local", "ls",
    "lsof", "md5sum", "nc", "netstat", "nl", "nproc", "pgrep", "pidof", "ping", "printf", "ps", "pwd", "read",
    "readlink", "realpath", "redis-cli", "return", "sed", "seq", "set", "sha256sum", "sleep", "sort", "ss", "stat",
    "supervisorctl", "tac", "tail", "test", "timeout", "top", "tr", "true", "type", "uname", "uniq", "unset",
    "uptime", "wait", "wc", "which", "whoami", "xargs"
})  # fmt: skip
_WRITERS = frozenset({
    "chgrp", "chmod", "chown", "cp", "crontab", "install", "ip6tables", "iptables", "kill", "ln", "mkdir", "mkfifo",
    "mv", "nft", "patch", "redis-server", "renice", "rm", "rmdir", "rsync", "setfacl", "supervisord", "systemctl",
    "tc", "tee", "touch", "unlink"
})  # fmt: skip
_WORDS_OF_SHELL = frozenset({
    "!", "command", "do", "done", "elif", "else", "env", "esac", "exec", "fi", "if", "nohup", "setsid", "sudo", "then",
    "time", "until", "while", "{", "}",
})  # fmt: skip
_DESTROYS = re.compile(
    r"\brm\s+(-\w*\s+)*-\w*[rf]|\bflush(all|db)\b|\bshred\b|\btruncate\b|\bmkfs|\bdd\b.*\bof="
    r"|\bkill(all)?\s+(-9|-KILL|-SIGKILL|-s\s*(9|KILL))\b|\bpkill\b|\bkillall\b|\bshutdown\b|\breboot\b"
    r"|\bsupervisorctl\b.*\b(stop|restart|remove)\s+(all|\*)|\bdebug\s+(segfault|sleep)\b|\bfind\b.*-delete\b"
    r"|\bcompose\b.*\b(down|rm)\b|\bdocker\s+(rm|kill|system\s+prune|volume\s+rm)\b|\bredis-cli\b.*\bdel\b",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"(?<![0-9&])>>?\s*(?!&|/dev/null)\S|\bsed\b.*\s-\w*i|\bfind\b.*-exec\b"
    r"|\bcurl\b.*(-X\s*(PUT|POST|DELETE|PATCH)|--request|\s-d\b|--data|--upload-file)"
    r"|\bsupervisorctl\b.*\b(start|stop|restart|signal|update|reread|remove|add|clear)\b"
    r"|\bdocker(-compose)?\b.*\s(start|stop|restart|kill|pause|unpause|update|exec|run|rm|create|connect|disconnect"
    r"|up|down|cp|commit|build|pull)\b"
    r"|\bredis-cli\b.*\s(set|setex|hset|hdel|config\s+(set|rewrite|resetstat)|replicaof|slaveof|client\s+(kill|pause"
    r"|unpause|no-evict)|expire|persist|rename|incr|decr|save|bgsave|eval|evalsha|script\s+(flush|load)|acl\s+\w*set\w*"
    r"|zadd|zrem|lpush|rpush|sadd|srem|publish|unlink|migrate|restore|failover|cluster|swapdb)\b"
    r"|\bip\s+\w+\s+(add|del|set|flush)\b",
    re.IGNORECASE,
)
_SUBSTITUTED = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def doing(command: str) -> Doing:
    """What `command` does, as far as its text tells: of its parts, the gravest."""
    return max((_one(part) for part in parts(command)), key=_SEVERITY.index, default=Doing.READING)


def normal(command: str) -> str:
    """The command without what makes no difference, for counting repeats."""
    return " ".join(command.split())


def parts(command: str) -> Iterator[str]:
    """The simple commands of a command line, roughly, with what stands in quotation marks taken out."""
    inner: list[str] = []
    if re.search(r"\b(bash|sh)\s+-\w*c\b|\beval\s+['\"]", command):
        inner += [single or double for single, double in _QUOTED.findall(command)]
    text = re.sub(r"(['\"])([\w.-]+)\1", r"\2", command)  # a single word, quoted, is that word
    text = re.sub(r"'[^']*'", "QUOTED", re.sub(r"\$\(\([^()]*\)\)", "0", text))
    while found := _SUBSTITUTED.search(text):
        inner.append(found[1] or found[2] or "")
        text = f"{text[: found.start()]}SUBSTITUTED{text[found.end() :]}"
    for whole in [re.sub(r'"[^"]*"', "QUOTED", text), *inner]:
        split = re.split(r"\|\||&&|[;|\n]|(?<![>&])&(?![&>\d])|[()]", whole)
        yield from (part.strip() for part in split if part.strip())


def program(part: str) -> str:
    """The program a simple command calls; empty if it calls none."""
    words = [word for word in _words(part) if not re.match(r"^\w+=", word)]
    while words and words[0] in _WORDS_OF_SHELL:
        words = words[1:]
    if words and words[0] == "timeout":
        words = [word for word in words[1:] if not re.match(r"^(-\S*|[\d.]+[smh]?)$", word)]
    if not words or words[0] in {"for", "case"} or words[0].startswith(("<", ">", "#", "2>", "-", "$")):
        return ""
    return words[0].rpartition("/")[2]


def _one(part: str) -> Doing:
    if _DESTROYS.search(part):
        return Doing.DESTRUCTIVE
    called = program(part)
    if _WRITES.search(part) or called in _WRITERS:
        return Doing.MUTATING
    return Doing.READING if not called or called in _READERS else Doing.UNKNOWN


def _words(part: str) -> list[str]:
    try:
        return shlex.split(part, comments=True)
    except ValueError:
        return part.split()
