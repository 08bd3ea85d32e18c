"""The progress is shown on stderr if requested."""

from __future__ import annotations

from autoenc.training.progress import show_progress


def test_a_bar_tells_what_is_done_and_how_far(capsys):
    with show_progress(True) as progress:
        progress("fitting EASE", 0, 3)
        progress("choosing the weights", 2, 3)
    out, err = capsys.readouterr()
    assert out == "" and "fitting EASE 0/3" in err and "choosing the weights 2/3" in err


def test_where_no_bar_is_wanted_nothing_is_told(capsys):
    with show_progress(False) as progress:
        progress("fitting EASE", 0, 3)
    assert capsys.readouterr() == ("", "")
