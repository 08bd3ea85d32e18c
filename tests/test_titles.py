"""Titles are found if complete, partly typed, or misspelled."""

from __future__ import annotations

import difflib
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoenc.interactions import likes_per_item
from autoenc.titles import MOST_COMPARED, Pairs, Titles, edits, unaccented

FILMS = [
    "Aliens (1986)",
    "Alien (1979)",
    "Léon: The Professional (1994)",
    "Hamlet (1996)",
    "Hamlet (1996)",
    "Hotel for Aliens (2004)",
    "Animatrix, The (2003)",
]


@pytest.fixture
def titles():
    return Titles(FILMS)


@pytest.fixture(scope="module")
def popular_first(ratings):
    """The titles of the bundled ratings, as a model has them."""
    order = np.argsort(-likes_per_item(ratings.user_items), kind="stable")
    return Titles(ratings.titles.tolist(), order.tolist())


def test_a_whole_title_is_of_one_item_or_of_several(titles):
    assert titles.columns_of("Alien (1979)") == [1]
    assert titles.columns_of("Hamlet (1996)") == [3, 4]
    assert titles.columns_of("alien (1979)") == []


@pytest.mark.parametrize(
    ("typed", "columns"),
    [
        ("alien", [1, 0, 5]),  # as it begins, short ones first; then at the beginning of a word
        ("ali 19", [1, 0]),
        ("LEON prof", [2]),
        ("matrix", [6]),  # inside of a word
        ("matrix alien", []),
        ("...", [1, 0, 3, 4, 6]),
    ],
)
def test_search_ranks_by_where_the_words_stand(titles, typed, columns):
    assert titles.search(typed, 5) == columns


def test_a_word_that_is_typed_twice_counts_in_how_a_title_begins():
    assert Titles(["New York (1990)", "New York, New York (1977)"]).search("new york new york", 2) == [1, 0]


def test_what_is_just_this_comes_first_and_equals_in_the_order_that_is_given():
    popular_first = Titles(FILMS, [5, 0, 1, 2, 3, 4, 6])
    assert popular_first.search("alien", 3) == [1, 0, 5]
    assert popular_first.search("ali", 2) == [0, 1]
    assert popular_first.search("the anim", 2) == [6]


@pytest.mark.parametrize(
    ("typed", "columns"),
    [
        ("aliens", [0]),
        ("ALIEN", [1]),
        ("Alien 1979", [1]),
        ("Alien (1980)", []),
        ("leon the professional", [2]),
        ("hamlet", [3, 4]),
        ("The Animatrix", [6]),
        ("animatrix", [6]),
        ("ani", []),
        ("", []),
    ],
)
def test_the_year_accents_and_the_place_of_the_article_make_no_difference(titles, typed, columns):
    assert titles.meant_by(typed) == columns


def test_a_number_at_the_end_is_a_year_only_where_no_title_has_it():
    titles = Titles(
        ["Blade Runner 2049 (2017)", "Blade Runner (1982)", "1984 (1956)", "Die Hard (1988)", "Hard (2020)"]
    )
    assert titles.meant_by("blade runner 2049") == [0]
    assert titles.meant_by("Blade Runner 1982") == [1]
    assert titles.meant_by("1984") == [2]
    assert titles.meant_by("hard") == [4]
    assert titles.meant_by("die hard") == [3]


def test_a_title_that_is_nothing_but_signs_is_its_own_name():
    assert Titles(["(500)", "(2005)", "...", "300 (2006)"]).meant_by("(500)") == [0]
    assert Titles(["... (1999)"]).meant_by("x") == []


@pytest.mark.parametrize(
    ("typed", "first"),
    [("Alien (1980)", 1), ("hamlet", 3), ("Leon: The Profesional (1994)", 2), ("The Animatrix (2003)", 6)],
)
def test_a_misspelt_title_is_near(titles, typed, first):
    assert titles.near(typed)[0] == first


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Haet", "Heat (1995)"),
        ("Heta", "Heat (1995)"),
        ("Hear", "Heat (1995)"),
        ("Jws", "Jaws (1975)"),
        ("Fago", "Fargo (1996)"),
        ("Fragp", "Fargo (1996)"),
        ("Ronn", "Ronin (1998)"),
        ("Se7n", "Seven (a.k.a. Se7en) (1995)"),
        ("Aleins", "Aliens (1986)"),
        ("Matirx", "Matrix, The (1999)"),
        ("Teh Matrix", "Matrix, The (1999)"),
        ("Pyscho", "Psycho (1960)"),
        ("Goodfelas", "Goodfellas (1990)"),
        ("Casabalnca", "Casablanca (1942)"),
        ("Vertgio (1958)", "Vertigo (1958)"),
        ("Amleie", "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
    ],
)
def test_what_is_misspelt_is_suggested_before_what_is_less_alike(popular_first, typed, meant):
    near = [popular_first.titles[column] for column in popular_first.near(typed)]
    assert near.index(meant) == (2 if typed == "Hear" else 0)  # where there are words that begin so, as Heart does


@pytest.mark.parametrize(
    ("text", "other", "n"),
    [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("abc", "cab", 2), ("ca", "abc", 3), ("heat", "heart", 1)],
)
def test_an_exchange_of_neighbours_is_one_edit(text, other, n):
    assert edits(text, other) == edits(other, text) == n


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_are_the_fewest_of_the_recursion(text, other):
    @functools.cache
    def fewest(i, j):
        if min(i, j) == 0:
            return i + j
        ways = [fewest(i - 1, j) + 1, fewest(i, j - 1) + 1, fewest(i - 1, j - 1) + (text[i - 1] != other[j - 1])]
        if min(i, j) > 1 and (text[i - 1], text[i - 2]) == (other[j - 2], other[j - 1]):
            ways.append(fewest(i - 2, j - 2) + 1)
        return min(ways)

    assert edits(text, other) == fewest(len(text), len(other))


@pytest.mark.parametrize("typed", ["", "12345", "-1", " (1994)", "qqqq zzzz"])
def test_nothing_is_near_to_what_has_no_letters_in_common(titles, typed):
    assert titles.near(typed) == []
    suggestion = titles.suggestion(typed, "see the list.")
    assert suggestion == "there are, for example, 'Alien (1979)' and 'Aliens (1986)': see the list."
    assert Titles([]).suggestion(typed, "see the list.") == "see the list."


def test_a_suggestion_names_each_title_once(titles):
    assert titles.suggestion("hamlet", "") == "did you mean 'Hamlet (1996)'?"
    assert titles.suggestion("aliens", "") == "did you mean 'Aliens (1986)' or 'Hotel for Aliens (2004)'?"


def test_few_titles_are_compared_letter_by_letter(monkeypatch):
    compared = []

    def get_close_matches(text, among, n):
        compared.append(len(among))
        return []

    monkeypatch.setattr(difflib, "get_close_matches", get_close_matches)
    Titles([f"Alien {number}" for number in range(1000)]).near("Ailen")
    assert compared == [MOST_COMPARED]


@pytest.mark.parametrize("typed", ["Tirminator, The (1984)", "Godfahter, The (1972)", "Leon: The Profesional (1994)"])
def test_what_is_nearest_of_all_is_among_them(ratings, typed):
    titles = list(dict.fromkeys(unaccented(title) for title in ratings.titles))
    [nearest] = difflib.get_close_matches(unaccented(typed), titles, 1)
    assert nearest in Pairs(titles).in_common(unaccented(typed), MOST_COMPARED)


def test_titles_may_hold_anything():
    odd = ["", "\n", "\ud800", "a\nb", "ab" * 5000, "\U0010ffff"]
    assert sorted(Pairs(odd).in_common("\udfff\n", 9)) == sorted(odd)
    assert Pairs([]).in_common("Alien", 3) == []
    assert Titles([]).near("Alien") == []
