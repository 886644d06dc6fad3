"""`operatorlab eval`: the way from the command line into the evaluation harness, which is a package of its own."""

from eval.cli import evaluation

__all__ = ["evaluation"]
