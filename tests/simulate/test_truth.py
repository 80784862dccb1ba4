"""The truth file: readable at any time, complete at the end, honest about what is not known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.errors import DataRejected, StartError
from scada.simulate.truth import TruthWriter, read_truth

EUI = np.array([0x02DF000000000001, 0x02DF000000000002], dtype=np.uint64)
CHANNEL = np.array([0, 1], dtype=np.uint8)
A, B = int(EUI[0]), int(EUI[1])


def write(path: Path) -> None:
    truth = TruthWriter(path)
    truth.start(3600, 1)
    truth.hour(10, EUI, CHANNEL, np.array([5, 7]))
    truth.record(1, 77, 1, 10, EUI, CHANNEL, np.array([[5], [7]]))
    truth.record(1, 77, 2, 11, EUI, CHANNEL, np.array([[6, -1], [8, 9]]))
    truth.acknowledged(1, 77, 1)
    truth.load(A, False, 40_000)
    truth.close()


def test_only_records_up_to_the_cursor_are_acknowledged(tmp_path: Path) -> None:
    """Record 2 was written but not acknowledged; a missing interval is no pulse count at all."""
    write(tmp_path / "t")
    truth = read_truth(tmp_path / "t")

    assert truth.acknowledged() == {(A, 0, 10): 5, (B, 1, 10): 7}
    assert truth.records[1, 77, 2] == {(A, 0, 11): 6, (B, 1, 11): 8, (B, 1, 12): 9}
    assert truth.counted == {(A, 0, 10): 5, (B, 1, 10): 7}
    assert truth.loads == [(A, False, 40_000)]


@given(st.data())
def test_a_file_cut_off_anywhere_is_still_readable(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A kill in the middle of a line loses that line and no other, also when a next simulator goes on behind it."""
    folder = tmp_path_factory.mktemp("truth")
    write(folder / "t")
    whole = (folder / "t").read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    (folder / "t").write_bytes(whole[:cut])
    read_truth(folder / "t")
    again = TruthWriter(folder / "t")
    again.acknowledged(1, 78, 4)
    again.close()

    assert read_truth(folder / "t").cursors[1, 78] == 4


def test_a_line_that_is_wrong_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    """Only an interrupted line may be incomplete; anything else is a broken file, and a test must know."""
    write(tmp_path / "t")
    lines = (tmp_path / "t").read_text().splitlines()
    (tmp_path / "t").write_text("\n".join([lines[0], "{broken", *lines[1:]]))

    with pytest.raises(DataRejected, match="line 2"):
        read_truth(tmp_path / "t")


def test_a_truth_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that is not there: a sentence before anything starts."""
    with pytest.raises(StartError, match="truth file"):
        TruthWriter(tmp_path / "no" / "t")


def test_without_a_file_nothing_is_kept() -> None:
    """The writer is always there; whether it writes is its own affair."""
    truth = TruthWriter(None)
    truth.start(0, 1)
    truth.close()
