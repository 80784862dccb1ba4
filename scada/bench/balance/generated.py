"""Households, thefts and leaks to measure on: the generator of tests/bench, which an installed server does not have."""

from importlib import import_module
from typing import Any

from scada.errors import ScadaError


def generator(module: str) -> Any:
    """
    Return a module of tests/bench.

    Raises
    ------
    ScadaError
        If this does not run in the repository.
    """
    try:
        return import_module(f"tests.bench.{module}")
    except ModuleNotFoundError as error:
        raise ScadaError(
            f"the households of these measurements come from tests/bench: run `python -m scada bench` in the repository's "
            f"folder ({error})"
        ) from None
