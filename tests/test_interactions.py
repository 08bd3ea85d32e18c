"""Who liked what: the rules for input, and the message of each error."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc import interactions
from autoenc.interactions import Interactions, as_user_items, positions
from autoenc.storage import csr
from tests.helpers import ROOT

DENSE = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])


@pytest.fixture
def films():
    return Interactions.from_pairs(
        [7, 7, 9, 9], [30, 10, 10, 20], titles={10: "Heat (1995)", 20: "Ronin (1998)", 30: "Ronin (1998)"}, name="films"
    )


def assert_canonical(user_items, dense):
    assert isinstance(user_items, sparse.csr_array)
    assert (user_items.dtype, user_items.indices.dtype) == (np.float32, np.int32)
    assert sparse.csr_array((user_items.data, user_items.indices, user_items.indptr)).has_canonical_format
    assert (user_items.data == 1).all()
    np.testing.assert_array_equal(user_items.toarray(), dense)


def pairs_of(likes):
    rows, columns = likes.user_items.nonzero()
    return set(zip(likes.user_ids[rows].tolist(), likes.item_ids[columns].tolist()))


# From pairs


@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=40),
    spread=st.sampled_from([1, 3, 10**17]),  # dense ids are numbered by a table, wide ones by sorting
    offset=st.sampled_from([0, 2**62]),
)
def test_pairs_are_the_set_of_pairs(pairs, spread, offset):
    users = [u * spread + offset for u, _ in pairs]
    items = [i * spread for _, i in pairs]
    likes = Interactions.from_pairs(users, items)
    assert pairs_of(likes) == set(zip(users, items))
    assert likes.n_likes == len(set(pairs))
    assert likes.user_ids.tolist() == sorted(set(users))
    assert likes.item_ids.tolist() == sorted(set(items))
    assert_canonical(likes.user_items, likes.user_items.toarray())


def test_pairs_over_a_catalogue_keep_users_and_items_without_likes():
    whole = {"user_ids": [6, 7, 9], "item_ids": ["a", "b", "c"]}
    likes = Interactions.from_pairs([9, 7, 9], ["c", "c", "a"], times=[30, 20, 10], titles={"b": "Bee"}, **whole)
    assert likes.user_items.toarray().tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 1]]
    assert likes.user_ids.tolist() == [6, 7, 9] and likes.titles.tolist() == ["a", "Bee", "c"]
    assert likes.times.tolist() == [20, 10, 30]
    table = {"user": [9, 7, 9], "item": ["c", "c", "a"]}
    assert (Interactions.from_table(table, **whole).user_items != likes.user_items).nnz == 0
    with pytest.raises(ValueError, match="items holds the item id d, which is not among item_ids; add it there"):
        Interactions.from_pairs([9], ["d"], item_ids=["a", "b"])
    with pytest.raises(ValueError, match="users holds the user id 8, which is not among user_ids; add it there"):
        Interactions.from_table({"user": [8], "item": ["a"]}, user_ids=[7, 9])
    with pytest.raises(ValueError, match="users holds the user id 8, which is not among user_ids"):
        Interactions.from_pairs([8], ["a"], user_ids=["7", "8"])
    with pytest.raises(ValueError, match="user_ids must be ascending, without duplicates"):
        Interactions.from_pairs([8], ["a"], user_ids=[9, 8])


def test_strings_are_ids():
    likes = Interactions.from_pairs(["eve", "bob", "eve"], ["tea", "tea", "rum"])
    assert likes.user_ids.tolist() == ["bob", "eve"]
    assert pairs_of(likes) == {("eve", "tea"), ("bob", "tea"), ("eve", "rum")}


@pytest.mark.parametrize(
    "users",
    [
        [3, 1, 3],
        (3.0, 1.0, 3.0),
        np.array([3, 1, 3], np.uint8),
        np.array([3, 1, 3], object),
        iter([3, 1, 3]),
        np.array([3, 1, 3], np.float32),
    ],
)
def test_whole_numbers_of_any_kind_are_ids(users):
    likes = Interactions.from_pairs(users, [5, 5, 6])
    assert likes.user_ids.dtype == np.int64
    assert pairs_of(likes) == {(3, 5), (1, 5), (3, 6)}


def test_a_table_column_is_read_as_an_array():
    class Column:
        def __array__(self, dtype=None, copy=None):
            return np.array(["b", "a"], object)

        def __iter__(self):
            raise AssertionError("a column of millions is not walked through")

    assert Interactions.from_pairs(Column(), Column()).user_ids.tolist() == ["a", "b"]


def test_real_ratings_come_back(ratings):
    rows, columns = ratings.user_items.nonzero()
    again = Interactions.from_pairs(ratings.user_ids[rows][::-1], ratings.item_ids[columns][::-1])
    np.testing.assert_array_equal(again.user_ids, ratings.user_ids)
    np.testing.assert_array_equal(again.item_ids, ratings.item_ids)
    assert (again.user_items != ratings.user_items).nnz == 0


def test_pairs_are_read_in_bounded_memory():
    n_pairs = 300_000
    rng = np.random.Generator(np.random.Philox(0))
    users, items = rng.integers(1, 5000, n_pairs), rng.integers(1, 3000, n_pairs)
    tracemalloc.start()
    Interactions.from_pairs(users, items)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * n_pairs  # bytes


@pytest.mark.parametrize(
    ("users", "items", "error", "sentence"),
    [
        ([1, 2], [1], ValueError, "users has 2 entries, but items has 1; pass arrays of the same length"),
        ([], [], ValueError, "users and items are empty; pass at least one pair"),
        ([1, -1], [1, 1], ValueError, "users holds -1; ids must be 0 or more: drop it if it marks a missing value"),
        ([1], [-3.0], ValueError, "items holds -3"),
        ([1], [float("nan")], ValueError, "items holds nan; pass whole numbers"),
        ([1], [float("inf")], ValueError, "items holds inf; pass whole numbers"),
        ([1], [1.5], ValueError, "items holds 1.5; pass whole numbers"),
        ([1], [1e17], ValueError, r"items holds 1e\+17; pass whole numbers"),
        ([1], [1e300], ValueError, "items holds 1e[+]300; pass whole numbers"),
        ([1], [2**63], ValueError, "items holds 9223372036854775808, beyond 64 bits; pass such ids as strings"),
        ([1], [2**90], ValueError, "items holds 12379400\\d+, beyond 64 bits"),
        ([1, "1"], [1, 1], TypeError, "users holds '1'; pass ids that are all whole numbers or all strings"),
        ([1, None], [1, 1], TypeError, "users holds None; pass ids that are all"),
        (["a", None], [1, 1], TypeError, "users holds None; pass ids that are all"),
        (np.array([1, True], object), [1, 1], TypeError, "users holds True; pass ids that are all"),
        ([True, False], [1, 1], TypeError, "users has dtype bool; pass ids that are whole numbers or strings"),
        ([b"a"], [1], TypeError, r"users has dtype \|S1; pass ids"),
        (7, [1], TypeError, "users is 7; pass a list or an array of ids"),
        ("abc", [1], TypeError, "users is 'abc'; pass a list or an array of ids"),
        ([[1, 2]], [1], ValueError, "users has 2 dimensions; pass a flat list or array of ids"),
        ([[1], [1, 2]], [1], ValueError, "users holds lists of different lengths; pass a flat list or array of ids"),
    ],
)
def test_bad_pairs(users, items, error, sentence):
    with pytest.raises(error, match=sentence):
        Interactions.from_pairs(users, items)


# From tables


def pandas_table(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def polars_table(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def pyarrow_table(columns):
    return pytest.importorskip("pyarrow").table(columns)


LIBRARIES = [
    *(pytest.param(table, marks=pytest.mark.optional) for table in (pandas_table, polars_table)),
    pyarrow_table,
]
of_every_table = pytest.mark.parametrize("table", [dict, *LIBRARIES])
of_every_library = pytest.mark.parametrize("table", LIBRARIES)


@of_every_table
@pytest.mark.parametrize(
    ("users", "items"),
    [([9, 7, 9, 9], [30, 10, 10, 30]), (["b", "a", "b", "b"], ["x", "y", "y", "x"]), ([2, 1, 2, 2], list("xyyx"))],
)
def test_a_table_is_its_pairs(table, users, items):
    likes = Interactions.from_table(table({"rating": [0.5] * 4, "item": items, "user": users}), name="shop")
    assert pairs_of(likes) == set(zip(users, items)) and likes.name == "shop"
    of_pairs = Interactions.from_pairs(users, items)
    assert likes.user_ids.dtype == of_pairs.user_ids.dtype and likes.item_ids.dtype == of_pairs.item_ids.dtype
    chosen = Interactions.from_table(table({"who": users, "what": items}), "who", "what", titles={items[1]: "ten"})
    assert pairs_of(chosen) == pairs_of(likes) and "ten" in chosen.titles.tolist()


@of_every_table
def test_a_missing_column_is_named_with_those_there(table):
    columns = table({"user": [1], "film": [2]})
    with pytest.raises(
        ValueError, match=r"no column 'item'; it has 'user', 'film'. Name the column of items with item=\."
    ):
        Interactions.from_table(columns)
    with pytest.raises(
        ValueError, match=r"no column 'User'; it has 'user', 'film'. Name the column of users with user=\."
    ):
        Interactions.from_table(columns, user="User", item="film")


@of_every_library
@pytest.mark.parametrize("users", [[9, 7, None, None], ["b", "a", None, None]])
def test_a_table_with_nulls_is_refused(table, users):
    sentence = "column 'user' is missing 2 of its 4 values, the first in row 2; drop these rows"
    with pytest.raises(ValueError, match=sentence):
        Interactions.from_table(table({"user": users, "item": [1, 2, 3, 4]}))
    with pytest.raises(ValueError, match=sentence.replace("user", "item")):
        Interactions.from_table(table({"item": users, "user": [1, 2, 3, 4]}))


@pytest.mark.optional
@pytest.mark.parametrize("dtype", ["category", "string", "str", "object", "string[pyarrow]"])
def test_pandas_dtypes_of_text(dtype):
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"user": ["b", "a", "b"], "item": ["x", "y", "y"]}, index=[5, 5, 6]).astype(dtype)
    assert pairs_of(Interactions.from_table(table)) == {("b", "x"), ("a", "y"), ("b", "y")}
    table.iloc[1, 0] = None
    with pytest.raises(ValueError, match="column 'user' is missing 1 of its 3 values, the first in row 1"):
        Interactions.from_table(table)


@pytest.mark.optional
@pytest.mark.parametrize("dtype", ["category", "Int64", "uint16", "float64", "object", "int64[pyarrow]"])
def test_pandas_dtypes_of_whole_numbers(dtype):
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"user": [2, 1, 2], "item": [8, 9, 9]}).astype(dtype)
    likes = Interactions.from_table(table)
    assert likes.user_ids.dtype == np.int64 and pairs_of(likes) == {(2, 8), (1, 9), (2, 9)}


@pytest.mark.optional
@pytest.mark.parametrize("dtype", ["Categorical", "Enum"])
def test_polars_categories(dtype):
    polars = pytest.importorskip("polars")
    dtype = polars.Enum(["a", "b", "x", "y"]) if dtype == "Enum" else polars.Categorical
    table = polars.DataFrame({"user": ["b", "a", "b"], "item": ["x", "y", None]}).cast(dtype)
    assert pairs_of(Interactions.from_table(table.drop_nulls())) == {("b", "x"), ("a", "y")}
    with pytest.raises(ValueError, match="column 'item' is missing 1 of its 3 values, the first in row 2"):
        Interactions.from_table(table)


@pytest.mark.parametrize("ids", [["b", "a", None], [2, 1, None]])
def test_pyarrow_dictionaries(ids):
    """pyarrow fills in the last entry of a dictionary for its null when converted to an array."""
    pyarrow = pytest.importorskip("pyarrow")
    encoded = pyarrow.chunked_array([pyarrow.array(ids).dictionary_encode()] * 2)
    table = pyarrow.table({"user": encoded, "item": [5, 6, 7] * 2})
    assert pairs_of(Interactions.from_table(table.slice(3, 2))) == {(ids[0], 5), (ids[1], 6)}
    with pytest.raises(ValueError, match="column 'user' is missing 2 of its 6 values, the first in row 2"):
        Interactions.from_table(table)


@of_every_library
@pytest.mark.parametrize(
    ("users", "error", "sentence"),
    [
        ([1.5], ValueError, "column 'user' holds 1.5; pass whole numbers"),
        ([-1], ValueError, "column 'user' holds -1; ids must be 0 or more"),
        ([True], TypeError, "column 'user' has dtype bool; pass ids"),
        ([b"a"], TypeError, "column 'user' holds b'a'; pass ids that are all"),
    ],
)
def test_bad_ids_in_a_table(table, users, error, sentence):
    with pytest.raises(error, match=sentence):
        Interactions.from_table(table({"user": users, "item": [1]}))


@of_every_library
def test_a_table_of_zeros_and_ones_is_a_matrix(table):
    assert_canonical(as_user_items(table({"tea": [1, 0], "rum": [1, 1]})), [[1, 1], [0, 1]])
    with pytest.raises(ValueError, match=r"holds the value 7.* Interactions.from_table if a row is a pair"):
        as_user_items(table({"user": [7, 9], "item": [1, 3]}))


@of_every_table
def test_a_table_without_rows(table):
    with pytest.raises(ValueError, match="users and items are empty; pass at least one pair"):
        Interactions.from_table(table({"user": [], "item": []}))


@pytest.mark.optional
def test_what_is_no_table():
    for other in ([[1, 2]], "user", np.ones((2, 2))):
        with pytest.raises(TypeError, match=f"table is a {type(other).__name__}; pass a DataFrame of pandas or polars"):
            Interactions.from_table(other)
    lazy = polars_table({"user": [1], "item": [2]}).lazy()
    with pytest.raises(TypeError, match=r"table is a LazyFrame; .* \(collect a LazyFrame first\)"):
        Interactions.from_table(lazy)


@pytest.mark.optional
def test_tables_need_none_of_their_libraries():
    code = """
import importlib, pkgutil, sys
import autoenc
for module in pkgutil.walk_packages(autoenc.__path__, "autoenc."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from autoenc.interactions import Interactions
Interactions.from_table({"user": ["a"], "item": [1]})
print(sorted({"pandas", "polars", "pyarrow", "sklearn", "torch"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


# Times and weights


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-9, 9), st.integers(1, 9)), min_size=1, max_size=30
    )
)
def test_a_pair_that_occurs_twice_has_its_first_time_and_the_sum_of_its_weights(pairs):
    users, items, times, weights = zip(*pairs)
    likes = Interactions.from_pairs(users, items, times=times, weights=weights)
    expected = {}
    for user, item, time, weight in sorted(pairs):
        first, total = expected.get((user, item), (time, 0))
        expected[user, item] = (min(first, time), total + weight)
    assert list(zip(likes.times.tolist(), likes.weights.tolist())) == [expected[pair] for pair in sorted(expected)]
    assert (likes.times.dtype, likes.weights.dtype) == (np.int64, np.float32)
    assert (likes.user_items.data == 1).all(), "a weight is not a value of the matrix"


def test_weights_do_not_depend_on_the_order_of_the_pairs():
    rng = np.random.Generator(np.random.Philox(0))
    users, items, weights = rng.integers(0, 9, 900), rng.integers(0, 9, 900), rng.lognormal(0, 4, 900)
    order = rng.permutation(900)
    likes = Interactions.from_pairs(users, items, weights=weights)
    again = Interactions.from_pairs(users[order], items[order], weights=weights[order])
    np.testing.assert_array_equal(again.weights, likes.weights)


def test_likes_between_two_moments():
    likes = Interactions.from_pairs(
        [1, 1, 2, 3], [7, 8, 8, 9], times=[10, 20, 30, 40], weights=[1, 2, 3, 4], titles={8: "eight"}, name="shop"
    )
    some = likes.between(since=20, until=40)
    assert (pairs_of(some), some.name) == ({(1, 8), (2, 8)}, "shop")
    assert (some.item_ids.tolist(), some.titles.tolist()) == ([8], ["eight"])
    assert (some.times.tolist(), some.weights.tolist()) == ([20, 30], [2, 3])
    assert pairs_of(likes.between()) == pairs_of(likes)
    assert pairs_of(likes.between(until=11)) == {(1, 7)}
    with pytest.raises(
        ValueError,
        match="no like is in this range of time; those of shop are from 1970-01-01T00:00:10 to 1970-01-01T00:00:4",
    ):
        likes.between(since=41)
    with pytest.raises(ValueError, match="the likes have no times to select by"):
        Interactions.from_pairs([1], [1]).between(since=1)


@of_every_table
def test_a_table_names_its_weights_and_times(table):
    columns = {"user": [9, 7, 9], "item": [30, 10, 30], "plays": [2.5, 1, 2], "when": [50, 60, 40], "rating": [0, 0, 0]}
    likes = Interactions.from_table(table(columns), weight="plays", time="when")
    assert (likes.weights.tolist(), likes.times.tolist()) == ([1.0, 4.5], [60, 40])
    likes = Interactions.from_table(table(columns))
    assert likes.weights is None and likes.times is None
    with pytest.raises(ValueError, match=r"no column 'stars'; it has .* Name the column of weights with weight="):
        Interactions.from_table(table(columns), weight="stars")
    with pytest.raises(ValueError, match=r"no column 'date'; it has .* Name the column of times with time="):
        Interactions.from_table(table(columns), time="date")


@of_every_library
@pytest.mark.parametrize("argument", ["weight", "time"])
def test_a_table_lacks_no_weight_and_no_time(table, argument):
    with pytest.raises(ValueError, match="column 'x' is missing 1 of its 2 values, the first in row 1"):
        Interactions.from_table(table({"user": [1, 2], "item": [1, 2], "x": [1, None]}), **{argument: "x"})


@pytest.mark.optional
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_times_of_pandas(zone):
    pandas = pytest.importorskip("pandas")
    when = pandas.to_datetime(["2020-01-02 00:00:00", "1969-12-31 23:59:59"], utc=True).tz_convert(zone)
    table = pandas.DataFrame({"user": [1, 2], "item": [1, 1], "when": when})
    assert Interactions.from_table(table, time="when").times.tolist() == [1_577_923_200, -1]


@pytest.mark.parametrize(
    ("weights", "error", "sentence"),
    [
        ([1, 0], ValueError, "weights holds 0; weights must be numbers above 0, .* drop likes that do not count"),
        ([1, -2.5], ValueError, r"weights holds -2.5; weights must be numbers above 0"),
        ([1, np.nan], ValueError, "weights holds nan; weights must be numbers above 0"),
        ([np.inf, 1], ValueError, "weights holds inf; weights must be numbers above 0"),
        ([1, 1e39], ValueError, r"weights holds 1e\+39; weights must be numbers above 0, in the range of float32"),
        ([1, 1e-60], ValueError, "weights holds 1e-60; weights must be numbers above 0, in the range of float32"),
        ([1], ValueError, r"weights has shape \(1,\) for 2 pairs; pass one weight for each"),
        (["a", "b"], TypeError, "weights has dtype <U1; pass numbers, such as plays or stars"),
    ],
)
def test_bad_weights(weights, error, sentence):
    with pytest.raises(error, match=sentence):
        Interactions.from_pairs([1, 2], [1, 1], weights=weights)


def test_weights_follow_a_canonical_matrix():
    with pytest.raises(ValueError, match="weights need a canonical user_items; call as_user_items"):
        Interactions(sparse.coo_array(np.eye(2)), [0, 1], [0, 1], weights=[3, 4])
    likes = Interactions.from_pairs([1, 2], [1, 1], weights=[3, 4])
    assert likes.with_user_items(likes.user_items.copy()).weights is None


# From lists


def test_lists_keep_users_without_likes():
    likes = Interactions.from_lists([[30, 10, 30], [], [20]])
    assert likes.user_ids.tolist() == [0, 1, 2]
    assert likes.item_ids.tolist() == [10, 20, 30]
    assert_canonical(likes.user_items, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])


def test_lists_of_anything_that_holds_ids():
    likes = Interactions.from_lists([{"b", "a"}, ("c",), np.array(["a"]), []])
    assert_canonical(likes.user_items, [[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]])


def test_lists_over_a_catalogue_keep_items_without_likes():
    likes = Interactions.from_lists([[30], [10]], user_ids=[5, 6], item_ids=[10, 20, 30, 10**12], name="shop")
    assert_canonical(likes.user_items, [[0, 0, 1, 0], [1, 0, 0, 0]])
    assert likes.name == "shop"


@pytest.mark.parametrize(
    ("lists", "options", "error", "sentence"),
    [
        ([[1], [4]], {"item_ids": [1, 2]}, ValueError, "lists holds the item id 4, which is not among item_ids"),
        ([["a"]], {"item_ids": [1, 2]}, ValueError, "lists holds the item id a, which is not among item_ids"),
        ([[1]], {"item_ids": [2, 1]}, ValueError, "item_ids must be ascending, without duplicates; sort it"),
        ([[1]], {"item_ids": [1, 1]}, ValueError, "item_ids must be ascending, without duplicates"),
        ([[1]], {"user_ids": [1, 2]}, ValueError, "user_ids has 2 entries for 1 rows; pass one for each"),
        (
            [[1], ["a"]],
            {},
            TypeError,
            "lists holds numbers in one row and strings in another; pass ids of the same kind",
        ),
        ([[1], 2], {}, TypeError, r"lists\[1\] is 2; pass a list or an array of ids"),
        ([[1], "23"], {}, TypeError, r"lists\[1\] is '23'; pass a list or an array of ids"),
        ([[1], [2, -5]], {}, ValueError, r"lists\[1\] holds -5; ids must be 0 or more"),
        (5, {}, TypeError, "lists is a int; pass an Interactions, a scipy sparse matrix"),
    ],
)
def test_bad_lists(lists, options, error, sentence):
    with pytest.raises(error, match=sentence):
        Interactions.from_lists(lists, **options)


# From matrices


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool])
@pytest.mark.parametrize("kind", [sparse.coo_array, sparse.coo_matrix])
def test_matrices_of_any_format(format, dtype, kind):
    matrix = kind(DENSE.astype(dtype)).asformat(format)
    likes = Interactions.from_csr(matrix, item_ids=[2, 3, 5, 7])
    assert_canonical(likes.user_items, DENSE)
    np.testing.assert_array_equal(matrix.toarray(), DENSE.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool, object])
def test_dense_arrays_are_matrices(dtype):
    for dense in (DENSE.astype(dtype), np.asfortranarray(DENSE.astype(dtype))):
        assert_canonical(as_user_items(dense), DENSE)
        assert_canonical(Interactions.from_csr(dense, item_ids=[2, 3, 5, 7]).user_items, DENSE)
    assert_canonical(as_user_items(np.eye(2)), np.eye(2))
    assert_canonical(as_user_items(np.eye(2, dtype=int).tolist()), [[1, 1], [1, 1]])  # a list of lists lists items


def test_a_canonical_matrix_is_not_copied():
    matrix = sparse.csr_array(DENSE, dtype=np.float32)
    user_items = as_user_items(matrix)
    assert all(np.shares_memory(getattr(user_items, a), getattr(matrix, a)) for a in ("data", "indices", "indptr"))
    assert as_user_items(user_items) is user_items
    assert as_user_items(user_items, n_items=4) is user_items
    assert as_user_items(Interactions.from_csr(user_items)) is user_items


@pytest.fixture
def refusing(monkeypatch):
    """Checked likes, after which any further check raises an error."""
    user_items = as_user_items(sparse.csr_array(DENSE, dtype=np.float32))

    def refuse(x):
        raise AssertionError("checked again")

    monkeypatch.setattr(interactions, "_check_entries", refuse)
    return user_items


@pytest.mark.parametrize(
    "rows", [slice(1, 3), slice(None, None, -1), [2, 0, 0], np.array([2]), np.array([True, False, True])]
)
def test_rows_of_checked_likes_are_not_checked_again(refusing, rows):
    part = refusing[rows]
    assert as_user_items(part) is part
    assert_canonical(part, DENSE[rows])
    assert as_user_items(pickle.loads(pickle.dumps(part))).shape == part.shape
    with pytest.raises(ValueError, match="4 columns, but 5 items are expected"):
        as_user_items(part, n_items=5)


@pytest.mark.parametrize(
    "derived",
    [
        lambda likes: likes * 2,
        lambda likes: likes + likes,
        lambda likes: likes.copy(),
        lambda likes: likes.T,
        lambda likes: likes[:, [1, 0]],
        lambda likes: likes[1:, :],
        lambda likes: (likes * 2)[1:],
        lambda likes: sparse.vstack([likes, likes], format="csr"),
        lambda likes: likes.astype(np.float64),
    ],
)
def test_whatever_else_comes_of_checked_likes_is_checked(refusing, derived):
    with pytest.raises(AssertionError, match="checked again"):
        as_user_items(derived(refusing))


def test_no_other_value_gets_into_checked_likes():
    matrix = sparse.csr_array(DENSE, dtype=np.float32)
    user_items = as_user_items(matrix)
    for likes in (user_items, user_items[:1], user_items[[1, 0]], as_user_items([[0, 2]])):
        with pytest.raises(ValueError, match="read-only"):
            likes.data[:] = 2
    matrix.data[0] = 2  # the caller's own
    with pytest.raises(ValueError, match="holds the value 2"):
        as_user_items(matrix)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_duplicates_collapse_and_stored_zeros_go(dtype):
    # 256 times one like: summed in a byte, it would be none
    data = np.array([1] * 256 + [0, 1], dtype)
    columns = np.array([2] * 256 + [1, 0], np.int64)
    csr = sparse.csr_array((data, columns, [0, 257, 258]), shape=(2, 3))
    for matrix in (csr, csr.tocoo()):
        assert_canonical(as_user_items(matrix), [[0, 0, 1], [1, 0, 0]])
    assert csr.nnz == 258 and csr.indices[0] == 2, "the caller's matrix changed"


@pytest.mark.parametrize(
    ("data", "columns", "dense"),
    [([1, 0], [0, 2], [1, 0, 0]), ([1, 1, 1], [0, 2, 2], [1, 0, 1]), ([1, 1], [2, 0], [1, 0, 1])],
)
def test_nearly_canonical_matrices_are_brought_in_order(data, columns, dense):
    columns, indptr = np.array(columns, np.int32), np.array([0, len(data)], np.int32)
    matrix = sparse.csr_array((np.array(data, np.float32), columns, indptr), shape=(1, 3))
    assert_canonical(as_user_items(matrix), [dense])


@pytest.mark.parametrize(
    ("value", "called"), [(5, "5.0"), (0.5, "0.5"), (-1, "-1.0"), (np.nan, "NaN"), (np.inf, "inf")]
)
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dok", "dense"])
def test_other_values_are_refused(value, called, format):
    matrix = sparse.coo_array(([1.0, value], ([0, 1], [0, 1])), shape=(2, 3))
    matrix = matrix.toarray() if format == "dense" else matrix.asformat(format)
    fix = r"Pass `user_items > 0` if .*, user_items.tolist\(\) if .*, or Interactions.from_table if"
    fix = fix if format == "dense" else "Pass `matrix > 0` if every value above 0 is a like"
    with pytest.raises(ValueError, match=rf"holds the value {called}; it must be 1 for a like and 0 otherwise. {fix}"):
        as_user_items(matrix)


@pytest.mark.parametrize("format", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize(
    ("indices", "indptr"), [([0, 7], [0, 1, 2]), ([0, -1], [0, 1, 2]), ([0, 1], [0, 2, 1]), ([0, 1], [0, 9, 2])]
)
def test_a_broken_matrix_is_refused(format, indices, indptr):
    matrix = sparse.csr_array(np.eye(2, dtype=np.float32))
    matrix = format(matrix)
    matrix.indices, matrix.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    with pytest.raises(ValueError, match=f"user_items is a broken {matrix.format} matrix .*; build it again"):
        as_user_items(matrix)


def test_lists_of_indices():
    assert_canonical(as_user_items([[2, 0, 2], [], [1]]), [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert_canonical(as_user_items([[1]], n_items=3), [[0, 1, 0]])
    assert_canonical(as_user_items(np.array([[0], [0, 1]], object)), [[1, 0], [1, 1]])
    assert as_user_items([], n_items=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("x", "n_items", "error", "sentence"),
    [
        (DENSE, 5, ValueError, "has 4 columns, but 5 items are expected; pass a matrix of shape"),
        (DENSE[0], None, ValueError, r"is an array of shape \(4,\), .* row of zeros and ones is user_items.reshape"),
        (np.array(1), None, ValueError, r"is an array of shape \(\), not users x items. Reshape your data"),
        (DENSE + 0j, None, TypeError, r"is not an array of numbers \(got dtype complex128\). Pass `user_items"),
        (DENSE.astype(str), None, TypeError, r"is not an array of numbers \(got dtype <U\d+\). Pass"),
        (np.array([["a", 1]], object), None, TypeError, r"\(could not convert string to float: 'a'\). Pass"),
        (np.array([[{}, 1]], object), None, TypeError, r"\(float\(\) argument must be a string .* 'dict'\). Pass"),
        (None, None, TypeError, "user_items is a NoneType; pass an Interactions, a scipy sparse matrix"),
        ("abc", None, TypeError, "user_items is a str; pass an Interactions"),
        (sparse.csr_array(DENSE), 5, ValueError, "has 4 columns, but 5 items are expected; pass a matrix of shape"),
        (sparse.csr_array([[1j]]), None, TypeError, "is a sparse matrix of complex128; pass one of zeros and ones"),
        (sparse.coo_array([1, 0]), None, ValueError, "user_items has 1 dimension; pass a users x items matrix"),
        ([[0, 3]], 3, ValueError, "lists the item index 3, but there are 3 items; pass indices from 0 to 2"),
        ([[], []], None, ValueError, "lists no items, so their number is unknown; pass a matrix"),
        ([["a"]], None, TypeError, "lists items like 'a'; pass indices that start at 0, or Interactions.from_lists"),
        ([[1, 10**9]], None, ValueError, "would have 1,000,000,001 columns; pass n_items or item_ids if that is"),
        (sparse.coo_array((1, 10**9)), None, ValueError, "would have 1,000,000,000 columns"),
        (sparse.coo_array((1, 2**40)), 2**40, ValueError, "has 1,099,511,627,776 columns; at most 2,147,483,647 fit"),
    ],
)
def test_bad_user_items(x, n_items, error, sentence):
    with pytest.raises(error, match=sentence):
        as_user_items(x, n_items)


def test_more_likes_than_32_bits_count_are_refused(monkeypatch):
    monkeypatch.setattr(csr, "MOST_ENTRIES", 4)
    lists = [[0, 1, 2], [1, 2]]
    for make in (
        lambda: as_user_items(sparse.csr_array(DENSE)),
        lambda: as_user_items(lists),
        lambda: Interactions.from_lists(lists),
        lambda: Interactions.from_pairs([0, 0, 0, 1, 1], [0, 1, 2, 1, 2]),
    ):
        with pytest.raises(ValueError, match="there are 5 likes, but at most 4 are supported; use fewer users"):
            make()


HALF = "Am\ud83d"
BEYOND = np.array([0x41, 0x110000], np.uint32).view("<U2")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Interactions.from_pairs([1, 1], [1, 2], titles={2: HALF}), r"titles\[1\] holds the code 0xd83d"),
        (lambda: Interactions.from_pairs([1, 1], ["a", HALF]), r"item_ids\[0\] holds the code 0xd83d"),
        (lambda: Interactions.from_pairs([HALF, "b"], [1, 2]), r"user_ids\[0\] holds the code 0xd83d"),
        (lambda: Interactions(np.ones((1, 1)), [0], [0], titles=BEYOND), r"titles\[0\] holds the code 0x110000"),
    ],
)
def test_text_that_could_not_be_saved_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence + ", which is not a valid character"):
        make()


def test_text_of_any_characters_is_taken():
    titles = ["", "Amélie", "\U0010ffff\ud7ff\ue000"]
    likes = Interactions.from_pairs([1, 1, 1], [1, 2, 3], titles=dict(enumerate(titles, 1)))
    assert likes.item_names([0, 1, 2]) == titles


def test_a_width_that_was_asked_for_is_taken():
    assert as_user_items([[10**9]], n_items=10**9 + 1).shape == (1, 10**9 + 1)


# Ids and titles


def test_what_it_says_of_itself(films, ratings):
    assert repr(films) == "Interactions('films', 2 users x 3 items, 4 likes)"
    assert repr(films.with_user_items([[0], [1]])) == "Interactions('films', 2 users x 3 items, 2 likes)"
    assert (ratings.n_users, ratings.n_items, ratings.n_likes) == (671, 9066, 100_004)


def test_with_user_items_keeps_the_rest(films):
    other = films.with_user_items(sparse.coo_array(np.eye(2, 3)))
    assert_canonical(other.user_items, np.eye(2, 3))
    assert other.item_ids is films.item_ids and other.user_ids is films.user_ids and other.name == "films"
    with pytest.raises(ValueError, match="user_items has 1 rows for 2 users; pass one row per user"):
        films.with_user_items([[0]])
    with pytest.raises(ValueError, match="has 2 columns, but 3 items are expected"):
        films.with_user_items(sparse.csr_array((2, 2)))


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        ("Heat (1995)", [0]),
        ("heat", [0]),
        ("Heat, 1995", [0]),
        (20, [1]),
        (np.int32(30), [2]),
        ("30", [2]),
        (["30", "Heat (1995)"], [2, 0]),
        ([], []),
    ],
)
def test_items_by_id_and_title(films, asked, columns):
    found = films.index_of_items(asked)
    assert found.dtype == np.int32 and found.tolist() == columns


def test_a_title_goes_before_a_number():
    likes = Interactions.from_pairs([1, 1], [1917, 1984], titles={1917: "1984", 1984: "1917"})
    assert likes.index_of_items(["1984", "1917"]).tolist() == [0, 1]
    assert likes.index_of_items(1984).tolist() == [1]


def test_users_by_id(films):
    assert films.index_of_users([9, 7, 9]).tolist() == [1, 0, 1]
    assert films.index_of_users(7).tolist() == [0]
    for stranger in (8, "7"):
        with pytest.raises(ValueError, match=f"There is no user {stranger!r} among the 2; see user_ids"):
            films.index_of_users(stranger)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("heta", "There is no item 'heta' among the 3; did you mean 'Heat (1995)'?"),
        ("heat (1986)", "There is no item 'heat (1986)' among the 3; did you mean 'Heat (1995)'?"),
        ("Ronan (1998)", "There is no item 'Ronan (1998)' among the 3; did you mean 'Ronin (1998)'?"),
        ("Ronin (1998)", "is the title of 2 items; pass one of their ids: 20 (Ronin (1998)), 30 (Ronin (1998))."),
        ("ronin", "'ronin' is the title of 2 items; pass one of their ids: 20"),
        ("zzz", "There is no item 'zzz' among the 3; there are, for example, 'Heat (1995)' and 'Ronin (1998)': see it"),
        (99, "There is no item '99' among the 3; there are, for example, 'Heat (1995)' and"),
        ("9" * 40, "There is no item '9999999"),
    ],
)
def test_items_that_are_not_there(films, asked, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        films.index_of_items(asked)


def test_near_misses_among_string_ids():
    likes = Interactions.from_pairs([1, 1], ["green-tea", "rum"])
    assert likes.index_of_items(["rum", "green-tea"]).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"There is no item 'gren-tea' among the 2; did you mean 'green-tea'\?"):
        likes.index_of_items("gren-tea")


def test_titles_of_real_films(ratings):
    columns = np.arange(0, ratings.n_items, 700)
    titles = ratings.item_names(columns)
    assert titles == [str(ratings.titles[c]) for c in columns]
    assert ratings.index_of_items(titles).tolist() == columns.tolist()
    typed = ["The Matrix", "godfather", "Leon: the professional (1994)", "The Usual Suspects (1995)", "heat (1995)"]
    typed += ["Le fabuleux destin d'Amélie Poulain", "La Cité des Enfants Perdus", "Se7en", "2001: A Space Odyssey"]
    named = ratings.item_names(ratings.index_of_items(typed))
    assert [name.partition(" (")[0] for name in named[:5]] == [
        *("Matrix, The", "Godfather, The", "Léon: The Professional", "Usual Suspects, The", "Heat")
    ]
    assert [name.partition(" ")[0] for name in named[5:]] == ["Amelie", "City", "Seven", "2001:"]
    with pytest.raises(ValueError, match=r"is the title of 6 items; .*\(Hamlet \(1948\)\)"):
        ratings.index_of_items("hamlet")
    for misspelt, meant in (("Teh Martix", "Matrix, The"), ("Godfahter (1972)", "Godfather, The"), ("Aline", "Alien")):
        with pytest.raises(ValueError, match=f"did you mean .*'{meant} "):
            ratings.index_of_items(misspelt)


def test_item_names(films):
    assert films.item_names([0, 2]) == ["Heat (1995)", "Ronin (1998)"]
    assert films.item_names([]) == []
    assert Interactions.from_pairs([1, 1], [4, 5]).item_names([1]) == ["5"]
    for beyond in (-1, 3):
        with pytest.raises(ValueError, match=f"columns holds {beyond}; pass positions of items, 0 to 2"):
            films.item_names([0, beyond])


def test_titles():
    assert Interactions.from_pairs([1, 1], [4, 5], titles={5: "five", 6: "six"}).titles.tolist() == ["4", "five"]
    assert Interactions.from_csr(sparse.csr_array((1, 2)), titles=["a", "b"]).titles.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match=r"titles has shape \(1,\) for 2 items; pass one title for each"):
        Interactions.from_csr(sparse.csr_array((1, 2)), titles=["a"])


def test_ids_are_checked_however_they_come():
    with pytest.raises(ValueError, match="user_ids has 1 entries for 3 rows; pass one for each"):
        Interactions.from_csr(sparse.csr_array(DENSE), user_ids=[1])
    with pytest.raises(ValueError, match="has 4 columns, but 3 items are expected"):
        Interactions(sparse.csr_array(DENSE), np.arange(3), np.arange(3))


@pytest.mark.parametrize("missing", ["", "nan", "None", " NULL ", "<NA>"])
def test_what_marks_a_missing_id_in_a_file_does_so_in_a_table(missing):
    with pytest.raises(ValueError, match=f"items holds {missing!r}, which marks a missing id; drop it, or rename"):
        Interactions.from_pairs([1, 2], ["heat", missing])
    with pytest.raises(ValueError, match=f"users holds {missing!r}"):
        Interactions.from_table({"user": ["ann", missing], "item": [1, 2]})
    with pytest.raises(ValueError, match=f"lists holds {missing!r}"):
        Interactions.from_lists([["heat"], [missing]])


def test_na_is_an_id_like_any_other():
    likes = Interactions.from_table({"user": ["NA", "na"], "item": ["N/A", "NA"]})
    assert likes.user_ids.tolist() == ["NA", "na"] and likes.item_ids.tolist() == ["N/A", "NA"]


def test_a_number_and_its_digits_are_one_id_where_kinds_meet():
    numbers, strings = np.array([0, 7, 70]), np.array(["007", "7", "70", "heat"])
    assert positions(numbers, strings).tolist() == [-1, 1, 2]
    assert positions(strings, numbers).tolist() == [-1, 1, 2, -1]
    assert positions(np.array(["9" * 30, "\u0667", "7 "]), numbers).tolist() == [-1, -1, -1]
    assert positions(numbers, numbers).tolist() == [0, 1, 2]
    assert positions(strings, np.array([], np.int64)).tolist() == [-1] * 4


def test_titles_are_found_whether_ids_are_numbers_or_digits():
    pairs = [1, 1, 2], [10, 11, 10]
    assert Interactions.from_pairs(*pairs, titles={"10": "Alien", "11": "Heat"}).titles.tolist() == ["Alien", "Heat"]
    as_text = Interactions.from_pairs([1, 1], ["10", "11"], titles={10: "Alien", 11: None, 12: np.nan})
    assert as_text.titles.tolist() == ["Alien", "11"]
    with pytest.raises(ValueError, match=r"titles has no title for any of the 2 items: .* like 'a', and .* like 10;"):
        Interactions.from_pairs(*pairs, titles={"a": "Alien"})
    assert Interactions.from_pairs(*pairs, titles={}).titles.tolist() == ["10", "11"]
