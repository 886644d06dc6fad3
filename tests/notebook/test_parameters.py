"""Parameters are checked before anything starts."""

from pathlib import Path

import pytest

from operatorlab.errors import BadParameter, UnknownName, UserError
from operatorlab.notebook.parameters import Parameters, Quickstart, defaults, listing, model_of, parse


class Small(Parameters):
    count: int = 3
    name: str = "x"
    on: bool = False


def test_words_become_typed_values():
    assert parse(Small, {"count": "5", "on": "true"}) == Small(count=5, on=True)


def test_an_unknown_name_is_an_error_with_the_nearest_one():
    with pytest.raises(UnknownName, match="did you mean 'count'"):
        parse(Small, {"cuont": "5"})


def test_a_word_of_the_wrong_type_names_the_parameter():
    with pytest.raises(BadParameter, match="count = 'many'"):
        parse(Small, {"count": "many"})


def test_a_notebook_without_a_model_gets_one_from_its_cell(write_notebook):
    notebook = write_notebook("1", parameters='n = 3  # how often\nrate: float = 0.5\nname = "a"\non = True')
    model = model_of(notebook)
    assert [(one.name, one.type, one.default) for one in listing(model)] == [
        ("n", "int", 3),
        ("rate", "float", 0.5),
        ("name", "str", "a"),
        ("on", "bool", True),
    ]
    assert parse(model, {"n": "4"}).model_dump() == {"n": 4, "rate": 0.5, "name": "a", "on": True}


@pytest.mark.parametrize("cell", ["n = [1]", "n = f()", "import os", "a, b = 1, 2", "n: int"])
def test_a_parameters_cell_holds_scalars_only(write_notebook, cell):
    with pytest.raises(UserError, match="texts, numbers and booleans"):
        model_of(write_notebook(parameters=cell))


def test_a_notebook_without_parameters_takes_none(write_notebook):
    with pytest.raises(UnknownName):
        parse(model_of(write_notebook("1")), {"n": "1"})


def test_a_missing_notebook_says_what_is_there(write_notebook, tmp_path):
    write_notebook("1", name="here.ipynb")
    with pytest.raises(UserError, match=r"here\.ipynb"):
        model_of(tmp_path / "there.ipynb")


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"cells": 3}'])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a notebook"):
        model_of(path)


def test_an_unknown_model_is_an_error(write_notebook):
    with pytest.raises(UnknownName, match="quickstart"):
        model_of(write_notebook("1", model="quikstart"))


def test_the_quickstart_and_its_model_have_the_same_parameters():
    notebook = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"
    assert model_of(notebook) is Quickstart
    assert defaults(notebook) == Quickstart().model_dump()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"subject": "ratelimitr"}, "ratelimiter"),
        ({"fault": "node_crsh"}, "node_crash"),
        ({"load": "stedy"}, "steady"),
        ({"target": "node-9"}, "node-"),
        ({"fault": "redis_crash", "target": "node-1"}, "redis"),
    ],
)
def test_names_of_the_quickstart_are_checked_against_the_subject(given, meant):
    with pytest.raises(UnknownName, match=meant):
        parse(Quickstart, given)


def test_a_target_that_was_not_chosen_suits_the_fault():
    assert parse(Quickstart, {"fault": "redis_crash"}).model_dump()["target"] == "redis"
    assert parse(Quickstart, {"fault": "node_hang"}).model_dump()["target"] == "node-2"
