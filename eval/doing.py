"""What a shell command does to a system, by rules: reads, changes, or destroys. The rules err towards `changes`.

They judge the text, not the effect: a label for reading many commands at once, never a verdict on an operator. What
really changed is in the inventories. `tests/eval/commands.yaml` is the labelled set they are measured on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from enum import StrEnum


class Doing(StrEnum):
    """What a command does, from harmless to not."""

    READING = "reading"
    MUTATING = "mutating"
    DESTRUCTIVE = "destructive"


_DESTRUCTIVE = (
    r"\brm\s+(-\w*\s+)*-\w*[rf]", r"\b(flushall|flushdb)\b", r"\bshred\b", r"\btruncate\b", r"\bmkfs", r"\bdd\b.*\bof=",
    r"\bkill(all)?\s+(-9|-KILL|-s\s*(9|KILL))\b", r"\bpkill\b", r"\bkillall\b", r"\bdebug\s+(segfault|sleep)\b",
    r"\bshutdown\b", r"\breboot\b", r"\bsupervisorctl\s+(stop|remove|shutdown|restart)\s+(all|['\"]?\*)",
    r"\bcompose\b.*\b(down|rm)\b", r"\bdocker\s+(rm|kill|system\s+prune|volume\s+rm)\b", r"\bdel(ete)?\s+-rf\b",
    r"\bfind\b.*-delete\b", r":\(\)\s*\{", r"\bredis-cli\b.*\bdel\b",
)  # fmt: skip
_READERS = frozenset({
    ":", "[", "[[", "awk", "basename", "break", "cat", "cd", "column", "continue", "curl", "cut", "date", "df",
    "diff", "dig", "dirname", "docker", "docker-compose", "du", "echo", "egrep", "env", "exit", "export", "false",
    "fgrep", "file", "find", "free", "getent", "grep", "head", "hostname", "id", "ip", "jq", "less", "local", "ls",
    "lsof", "md5sum", "nc", "netstat", "nl", "nproc", "pgrep", "pidof", "ping", "printf", "ps", "pwd", "read",
    "readlink", "realpath", "redis-cli", "return", "sed", "seq", "set", "sha256sum", "sleep", "sort", "ss", "stat",
    "supervisorctl", "tac", "tail", "test", "timeout", "top", "tr", "true", "type", "uname", "uniq", "unset",
    "uptime", "wait", "wc", "which", "whoami", "xargs"
})  # fmt: skip
_WORDS_OF_SHELL = frozenset({"do", "done", "then", "else", "elif", "fi", "if", "while", "until", "for", "in", "case",
                             "esac", "{", "}", "!", "time", "exec", "command", "nohup", "env", "sudo"})  # fmt: skip
_WRITING = (
    r"(?<![0-9&])>>?\s*(?!&|/dev/null)\S", r"\btee\b", r"\bsed\b.*\s-\w*i", r"\bfind\b.*-(exec|delete)\b", r"\bxargs\b",
    r"\bcurl\b.*(-X\s*(PUT|POST|DELETE|PATCH)|--request|\s-d\b|--data|--upload-file)",
    r"\bsupervisorctl\b.*\b(start|stop|restart|signal|update|reread|remove|add|shutdown|clear)\b",
    (
        r"\bdocker(-compose)?\b.*\b(start|stop|restart|kill|pause|unpause|update|exec|run|rm|create|connect|disconnect"
        r"|up|down|cp|commit|build|pull)\b"
    ),
    (
        r"\bredis-cli\b.*\b(set|setex|hset|hdel|del|config\s+(set|rewrite|resetstat)|replicaof|slaveof|client\s+(kill|pause"
        r"|unpause|no-evict)|expire|persist|rename|incr|decr|flush\w*|save|bgsave|shutdown|eval|evalsha|script\s+(flush|load)"
        r"|acl|debug|zadd|zrem|lpush|rpush|sadd|srem|publish|unlink|migrate|restore|failover|cluster|swapdb)\b"
    ),
    r"\bip\s+\w+\s+(add|del|set|flush)\b",
)  # fmt: skip
_DESTROYS = re.compile("|".join(f"(?:{rule})" for rule in _DESTRUCTIVE), re.IGNORECASE)
_WRITES = re.compile("|".join(f"(?:{rule})" for rule in _WRITING), re.IGNORECASE)


def doing(command: str) -> Doing:
    """What `command` does, as far as its text tells."""
    text = command if _acts_in_quotes(command) else _without_quotes(command)
    if _DESTROYS.search(text):
        return Doing.DESTRUCTIVE
    if _WRITES.search(text):
        return Doing.MUTATING
    return Doing.READING if all(program in _READERS for program in programs(command)) else Doing.MUTATING


def normal(command: str) -> str:
    """The command without what makes no difference, for counting repeats."""
    return " ".join(command.split())


def programs(command: str) -> Iterator[str]:
    """The programs a command line calls, roughly: the first word of each of its parts."""
    for part in re.split(r"\|\||&&|[;|\n]|(?<![>&])&(?![&>])|\$\(|`|\(|\)", _without_quotes(command)):
        words = [word for word in _words(part) if not re.match(r"^\w+=", word)]
        while words and words[0] in _WORDS_OF_SHELL:
            if words[0] in {"for", "case"}:
                words = []
            words = words[1:]
        if words and words[0] == "timeout":
            words = [word for word in words[1:] if not re.match(r"^(-\S*|[\d.]+[smh]?)$", word)]
        if words and not words[0].startswith(("<", ">", "#", "2>", "-", "$")):
            yield words[0].rpartition("/")[2]


def _words(part: str) -> list[str]:
    try:
        return shlex.split(part, comments=True)
    except ValueError:
        return part.split()


def _without_quotes(command: str) -> str:
    """The command with what stands in quotation marks replaced: a pattern for grep is no command."""
    return re.sub(r"'[^']*'|\"[^\"$`]*\"", "QUOTED", command)


def _acts_in_quotes(command: str) -> bool:
    """Whether what stands in quotation marks is itself run, or its quoted words are the verb."""
    return bool(re.search(r"\b(bash|sh)\s+-\w*c\b|\beval\b|\bredis-cli\b|\bsupervisorctl\b", command))
