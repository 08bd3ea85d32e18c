"""Text from files and users is escaped and shortened."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoenc.checks import metric_at_k, whole_number
from autoenc.messages import exit_code, one_line, printable, sentence, shown
from autoenc.storage.reading import reading

TEXTS = st.text(st.characters() | st.sampled_from("\x1b\x07\r\n\u202e\u2066\u200d\u00a0\ud800é漢🙂"))


@given(TEXTS)
def test_nothing_that_acts_on_a_terminal_is_left(text):
    line = printable(text)
    assert {unicodedata.category(c) for c in set(line) - {"\u200c", "\u200d"}} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
    line.encode("utf-8")


@pytest.mark.parametrize("text", ["Amélie (2001)", "L'été\u00a0: 漢字", "👨\u200d👩\u200d👧", "क्\u200dष", "a\\nb"])
def test_words_stay_as_they_are(text):
    assert printable(text) == text


@given(TEXTS, st.integers(1, 1000))
def test_sentences_are_short_and_on_one_line(text, times):
    line = sentence(text * times)
    assert "\n" not in line and len(line) < 1_100
    assert len(sentence("x" * 5_000 + "; do this")) < 1_100 and sentence("x" * 5_000 + "; do this").endswith(
        "; do this"
    )


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, [0] * 10**6, 10**400, 10**5000, -(10**5000), np.zeros(10**6), {0: "\x1b" * 999}],
    ids=lambda value: type(value).__name__,
)
def test_values_are_shown_in_short(value):
    assert len(shown(value)) < 300 and shown(value).isprintable()


@pytest.mark.parametrize("value", [0, "ab", None, 1.5, (1, 2), [3], {"a": 1}])
def test_what_is_short_is_shown_as_it_is(value):
    assert shown(value) == repr(value)


def test_checks_show_values_so():
    for check in (lambda: whole_number("n", "\x1b" * 10**5, 1), lambda: whole_number("n", 10**5000, 1)):
        with pytest.raises((TypeError, ValueError), match="n must be") as error:
            check()
        assert len(str(error.value)) < 300
    for value in ("ndcg@" + "9" * 5000, "ndcg@0", "ndcg@9223372036854775808", "ndcg@-1", "\x1b@1", 10**30):
        with pytest.raises(ValueError, match=r"k is .*; pass one of ndcg with its k"):
            metric_at_k("k", value, ["ndcg"])
    assert metric_at_k("k", "ndcg@9223372036854775807", ["ndcg"]) == ("ndcg", 2**63 - 1)


@pytest.mark.parametrize(
    "error",
    [
        *(
            KeyError("users"),
            IndexError(),
            EOFError(),
            OverflowError("too large"),
            RecursionError("deep"),
            SystemError(),
        ),
        *(
            TypeError("\x1b[2J" * 1000),
            SyntaxError("bad"),
            MemoryError(),
            ValueError("of another file"),
            UnicodeError(),
        ),
        *(ZeroDivisionError(), AttributeError("x"), ValueError("x/y: \x1b")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_file_raises_names_it(error):
    with pytest.raises(ValueError, match=r"^x/y[ :]") as caught, reading("x/y"):
        raise error
    assert len(str(caught.value)) < 1_200 and str(caught.value).isprintable()


def test_what_is_not_the_files_fault_passes():
    for error in (FileNotFoundError(2, "No such file", "x"), KeyboardInterrupt(), NameError("typo")):
        with pytest.raises(type(error)) as caught, reading("x"):
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("two\n lines"), 2, "two lines"),
        (OverflowError("a\x1b[2J"), 2, "a\\x1b[2J"),
        (FileNotFoundError(2, "No such file", "model"), 2, "model: No such file"),
        (FloatingPointError("the loss became nan"), 1, "the loss became nan"),
        (
            MemoryError(),
            1,
            "not enough memory (none is left); use less data or a smaller model, or free some memory",
        ),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
    ],
)
def test_errors_have_one_line_and_an_exit_code(error, code, line):
    assert (exit_code(error), one_line(error)) == (code, line)


def test_a_number_that_is_not_finite_is_no_damage():
    with pytest.raises(FloatingPointError, match="the weights are infinite"), reading("model"):
        raise FloatingPointError("the weights are infinite")
