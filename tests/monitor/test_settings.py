"""How patient a monitor is: what the file, the flags and the rules themselves say, and which of them counts."""

import pytest
from lamps import BLIND, DIM, OFF, RUN

from operatorlab.errors import BadParameter, UnknownName
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Monitor
from operatorlab.monitor.settings import Settings, parse_grace, patience, read_settings

RULES = (OFF, DIM, BLIND)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "monitor.yaml"
        path.write_text(text)
        return path

    return write


def graces(grace):
    return {name: each.grace_s for name, each in patience(RULES, grace).items()}


def test_without_any_word_each_rule_says_itself():
    assert graces(None) == {"lamp_off": 0.0, "lamp_dim": 0.05, "observer_blind": 0.0}


def test_a_number_is_meant_for_all_and_a_name_for_one():
    assert graces(3) == dict.fromkeys(("lamp_off", "lamp_dim", "observer_blind"), 3.0)
    assert graces({"lamp_dim": 9}) == {"lamp_off": 0.0, "lamp_dim": 9.0, "observer_blind": 0.0}
    assert graces({"*": 1, "lamp_dim": 9}) == {"lamp_off": 1.0, "lamp_dim": 9.0, "observer_blind": 1.0}


def test_the_window_of_a_rule_stays():
    assert patience(RULES, 3)["lamp_dim"].window_s == DIM.window_s


def test_an_unknown_rule_is_an_error_that_guesses_which_is_meant():
    with pytest.raises(UnknownName, match="no invariant is called 'lamp_of'") as error:
        patience(RULES, {"lamp_of": 1})
    assert error.value.cause == "did you mean 'lamp_off'?"


def test_a_monitor_of_a_subject_without_its_own_rule_of_blindness_can_be_patient_with_it(store, lamps, files):
    lamps.invariants = (OFF,)
    Monitor(lamps, files, store, board=Board(store, RUN), grace_s={"observer_blind": 2})
    with pytest.raises(UnknownName, match="lamp_dim"):
        Monitor(lamps, files, store, board=Board(store, RUN), grace_s={"lamp_dim": 2})


def test_flags_give_seconds_for_all_or_for_one():
    assert parse_grace(["0.5"]) == {"*": 0.5}
    assert parse_grace(["0", "lamp_dim=3", "lamp_off = 1e-1"]) == {"*": 0.0, "lamp_dim": 3.0, "lamp_off": 0.1}


@pytest.mark.parametrize("bad", ["", "soon", "lamp_dim=", "lamp_dim=-1", "nan", "inf", "-0.1"])
def test_a_flag_that_is_no_time_is_refused(bad):
    with pytest.raises(BadParameter):
        parse_grace([bad])


def test_a_file_gives_both_forms_and_the_interval(file):
    assert read_settings(file("grace: 0\ninterval: 0.25\n")) == Settings({"*": 0.0}, 0.25)
    assert read_settings(file("grace:\n  lamp_dim: 2\n  '*': 1\n")) == Settings({"lamp_dim": 2.0, "*": 1.0}, None)


def test_flags_count_for_more_than_the_file():
    said = Settings({"lamp_dim": 2.0, "lamp_off": 3.0}, 0.25)
    assert said.under(Settings({"lamp_dim": 0.0})) == Settings({"lamp_dim": 0.0, "lamp_off": 3.0}, 0.25)
    assert said.under(Settings({"*": 0.0}, 1.0)) == Settings({"*": 0.0}, 1.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("graces: 1\n", "did you mean 'grace'"),
        ("- 1\n", "must hold settings"),
        ("", "must hold settings"),
        ("grace: {\n", "cannot read"),
        ("grace: soon\n", "not 'soon'"),
        ("grace: {lamp_dim: true}\n", "grace of lamp_dim must be 0 seconds or more, not True"),
        ("interval: [1]\n", "interval must be 0 seconds or more"),
    ],
)
def test_a_file_that_makes_no_sense_is_an_error_that_says_why(file, text, why):
    with pytest.raises((BadParameter, UnknownName)) as error:
        read_settings(file(text))
    assert why in str(error.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(BadParameter, match="cannot read"):
        read_settings(tmp_path / "none.yaml")
