"""Waiting at a terminal: every change is told once, and Ctrl-C ends the waiting alone."""

import time
from typing import Any

import pytest

from scada.cli.following import follow

WITHOUT_US = "it goes on without us; the page tells how it went"


def followed(*states: str) -> dict[str, Any]:
    answers = iter([{"state": one} for one in states])
    return follow(
        next(answers), lambda: next(answers), over=lambda now: now["state"] == "done",
        line=lambda now: f"it is {now['state']}", every_s=0.0, without_us=WITHOUT_US,
    )


def test_every_change_is_told_once_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr: what is piped is the answer alone, the last one."""
    assert followed("new", "new", "sent", "sent", "done") == {"state": "done"}

    told = capsys.readouterr()
    assert told.err.splitlines() == ["it is new", "it is sent", "it is done"]
    assert told.out == ""


def test_what_is_over_already_is_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert followed("done") == {"state": "done"}
    assert capsys.readouterr().err == "it is done\n"


def test_ctrl_c_ends_the_waiting_and_says_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody must believe that it was stopped; the status is that of a shell."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(SystemExit) as ended:
        followed("new", "done")

    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines() == ["it is new", "", WITHOUT_US]
