"""What commands do, measured on a labelled set."""

from pathlib import Path

import pytest
import yaml

from operatorlab.agent.doing import Doing, doing, normal, parts, program

LABELLED = yaml.safe_load(Path(__file__).with_name("commands.yaml").read_text())
CASES = [(text, Doing(label)) for label, texts in LABELLED.items() for text in texts]


@pytest.mark.parametrize(("command", "label"), CASES, ids=[text[:40] for text, _ in CASES])
def test_labelled(command, label):
    assert doing(command) is label


def test_programs_are_found_behind_shell_words_and_time_outs():
    line = "if true; then timeout -k 1 2s /usr/bin/redis-cli PING; fi | grep -v 'a;b'"
    assert [called for part in parts(line) if (called := program(part))] == ["true", "redis-cli", "grep"]


def test_repeats_do_not_depend_on_blanks():
    assert normal("a  b\n c") == normal("a b c")
