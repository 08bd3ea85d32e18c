"""Every format is recognized by content and read, and every hostile file is refused with its sentence."""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autoenc import datasets
from autoenc.cli import main
from autoenc.datasets import ReadOptions, columns, formats, read, sources, text
from autoenc.datasets.layout import Table
from tests.helpers import DATA, ROOT

REAL = Path(os.environ.get("AUTOENC_TEST_DATA", ROOT.parent / "shared" / "data"))
MAKE = runpy.run_path(str(DATA / "make.py"))
RATINGS, TITLES = MAKE["RATINGS"], MAKE["TITLES"]

FOLDERS = {Path(name).parts[0] for name in MAKE["formats"]()}
WITH_RATINGS = FOLDERS - {"reordered.csv", "floats.csv", "lightgcn", "lightgcn.txt", "dsstne.txt", "dsstne_plain.txt"}
WITH_TIMES = (WITH_RATINGS | {"reordered.csv"}) - {"csr.npz", "csc.npz", "coo.npz"}
WITH_TITLES = {"dat", "csv", "100k", "csv.zip"}


def needs_pyarrow(path):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")


# What must be refused, and with which words.
REFUSED = {
    "bomb.zip": "grows to more than 10,[0-9]{3},[0-9]{3} bytes when decompressed",
    "bomb.csv.gz": "grows to more than 10,843,500 bytes when decompressed",
    "long_line.txt.gz": "has a line of more than 16,777,216 bytes",
    "two_ratings.zip": r"has 2 files that may hold the ratings \('a/ratings.csv', 'b/.*'\); pass the path of one",
    "no_files.zip": "holds no files; pass a folder or an archive with ratings in it",
    "nested.zip": "is a zip archive, cut off or within another; fetch it again, or unpack it",
    "encrypted.zip": "is encrypted with a password; unpack it first",
    "bzip2.zip": "is compressed by a method other than deflate; unpack it first",
    "cut_off.zip": "is a zip archive, cut off or within another",
    "bad_crc.zip": "is damaged or cut off .*; fetch it again",
    "bad_header.zip": "is damaged .*; fetch it again",
    # Python 3.14 looks at the directory already to tell whether a file is a zip archive.
    "bad_directory.zip": "is a (damaged zip archive .*|zip archive, cut off .*); fetch it again",
    "bad_offset.zip": "is (damaged|a damaged zip archive) .*; fetch it again",
    "bad_name.zip": "is damaged .*; fetch it again",
    "nameless.zip": "holds no files; pass a folder or an archive with ratings in it",
    "page.zip": r"is a web page \(HTML\), perhaps one that asks to log in; fetch the file itself",
    "cut_off.csv.gz": "is damaged or cut off .*; fetch it again",
    "empty.csv": "is empty; pass a file with ratings in it",
    "blank.csv": "is empty; pass a file with ratings in it",
    "only_header.csv": "holds no ratings; pass a file with at least one",
    "no_item.csv": "has the header 'userId,thing,rating', which has no known column of items; pass item=",
    "nul.csv": "is neither text nor a known binary format",
    "nan_id.csv": "line 5: the item id is missing: it reads 'NaN'; fix the line or delete it",
    "missing_id.csv": "line 5: the user id is missing: it reads ''; fix",
    "negative_id.csv": "line 5: the item id '-300' is negative, but ids must be 0 or greater; fix",
    "long_id.csv": r"line 5: the item id 'x+\.\.\.x+' has 300 characters; at most 256 are allowed; fix",
    "nan_rating.csv": "line 5: the rating 'NaN' is not a number; fix",
    "bad_timestamp.csv": "line 6: the time 'yesterday' is not a number; fix",
    "huge_timestamp.csv": "line 6: the time '1e300' is not a number below 2\\*\\*63; fix",
    "list_in_a_table.txt": "line 3: (expected 4 .*, got 2: '3.*10,300'|the item id '10,300' is not a whole number)",
    "few_columns.csv": r"line 5: expected 4 columns \(userId,movieId,rating,timestamp\), got 1: '3'; fix",
    "open_quote.csv": "line 5: a quote is never closed; fix",
    "long_field.csv.gz": r"line 3: the item id 'x+\.\.\.x+' has 200,000 characters; at most 256 are allowed; fix",
    "long_names.csv.gz": "40,000 user ids of up to 250 characters need more than 10,000,000 bytes; replace them",
    "letters.dat": "line 4: the item id '3oo' is not a whole number below 2\\*\\*63; fix",
    "wide.dat": "line 4: the item id '1180591620717411303424' is not a whole number below 2\\*\\*63; fix",
    "single_colons.dat": r"line 4: expected 4 columns \(user::item::rating::time\), got 1: '3:300:2:978300275'; fix",
    "negative.txt": "line 2: the item id '-5' is negative, but ids must be 0 or greater; fix",
    "letters.txt": "line 31: the item id 'five' is not a whole number below 2\\*\\*63; fix",
    "no_tab.txt": "line 31: 'd b:c' does not have the form user<TAB>item:item:...; fix",
    "bad_titles.zip": r"'movies.csv'\), line 3: 'ten,Heat \(1995\)' does not begin with an id and a title; fix",
    "cache_train.npy": "is a NumPy array; if it is one of the task's files .* --cache-path FOLDER/cache",
    "pickled.npz": "'data.npy'.* cannot be read: Object arrays cannot be loaded: they are pickles",
    "dense.npz": "lacks format.npy, so it is not a matrix that scipy.sparse.save_npz wrote",
    "lacks_data.npz": "lacks data.npy, so it is not a matrix that scipy.sparse.save_npz wrote",
    "dia.npz": r"holds a matrix of format 'dia'; save matrix.tocsr\(\) instead",
    "nan.npz": "holds NaN; drop the missing values from the matrix",
    "strings.npz": "holds a matrix of <U1; save one of numbers",
    "too_much_data.npz": "holds more values than fit into its shape",
    "out_of_range.npz": r"holds a broken csr matrix \(.* but there are 301 columns\)",
    "broken_indptr.npz": "holds a broken csr matrix .*; save it again",
    "bad_shape.npz": "holds a broken csr matrix .*; save it again",
    "huge_header.npz": r"'indices.npy'\) cannot be read: .*",
    "missing.parquet": "cannot be read: the column user has 1 missing values; drop those rows",
    "no_item.parquet": "cannot be read: has the columns 'user', 'thing', but no known column of items; pass",
    "cut_off.parquet": "cannot be read: .*",
    "negative_id.parquet": r"cannot be read: the column user holds -2 to 3, but ids must be at least 0 and below",
    "nan_id.parquet": "cannot be read: the column user holds a number that is not an integer; convert it to integers",
    "missing_id.parquet": "cannot be read: the user id is missing: it reads ''",
    "long_id.parquet": "cannot be read: the user id 'x+\\.\\.\\.x+' has 300 characters; at most 256 are allowed",
    "nested.parquet": "cannot be read: the column user has type list<.*: int64>; convert it",
    "bomb.parquet": "cannot be read: it grows to 80,000,000 bytes when decompressed, beyond the limit of 8,388",
}

# Of those: what troubles only who asks for ratings and timestamps.
WRONG_IN_VALUES = {"nan_rating.csv", "bad_timestamp.csv", "huge_timestamp.csv"}

# What is ugly, and read nevertheless: the users and the items that come of it.
USERS, ITEMS = ([row[i] for row in RATINGS] for i in (0, 1))
READ = {
    "traversal.zip": (USERS, ITEMS),
    "crlf.dat": (USERS, ITEMS),
    "cr.dat": (USERS, ITEMS),
    "utf16.csv": (USERS, ITEMS),
    "utf32.csv": (USERS, ITEMS),
    "bom.csv": (USERS, ITEMS),
    "bom.dat": (USERS, ITEMS),
    "blank_lines.csv": (USERS, ITEMS),
    "mixed_encodings.csv": (["José", "José"], ["Voilà", "Ronin"]),
    "odd_digits.csv": (["²", "٣"], [1, 2]),
    "mixed_ids.csv": (["007", "7"], ["B000A", "300"]),
    "billion_wide.csv": ([1, 2], [5, 4_000_000_000]),
    "billion_wide.npz": ([0, 1], [5, 1_999_999_999]),
}


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_every_format_gives_the_same_ratings(name):
    path = DATA / "formats" / name
    needs_pyarrow(path)
    ratings = read(path, values=True)
    pairs = list(zip(ratings.users.tolist(), ratings.items.tolist()))
    assert sorted(pairs) == sorted(row[:2] for row in RATINGS)
    assert ratings.users.dtype == ratings.items.dtype == np.int64
    found = dict(zip(pairs, ratings.ratings.tolist())) if ratings.ratings is not None else None
    assert found == ({row[:2]: row[2] for row in RATINGS} if name in WITH_RATINGS else None)
    found = dict(zip(pairs, ratings.timestamps.tolist())) if ratings.timestamps is not None else None
    assert found == ({row[:2]: row[3] for row in RATINGS} if name in WITH_TIMES else None)
    assert ratings.titles == (TITLES if name in WITH_TITLES else None)

    likes_alone = read(path)
    assert np.array_equal(likes_alone.users, ratings.users) and np.array_equal(likes_alone.items, ratings.items)
    assert likes_alone.ratings is None and likes_alone.timestamps is None


@pytest.mark.parametrize("name", ["dat/ratings.dat", "csv/ratings.csv", "100k/u.data"])
def test_a_file_itself_has_the_titles_beside_it(name):
    assert read(DATA / "formats" / name).titles == TITLES


def test_a_folder_may_hold_the_folder(tmp_path):
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m" / "ratings.dat").write_bytes((DATA / "formats" / "dat" / "ratings.dat").read_bytes())
    (tmp_path / "ml-1m" / "README").write_text("About the data.")
    assert read(tmp_path).users.tolist() == USERS


def test_load_names_what_it_read(tmp_path):
    names = {"csv": "csv", "csv.zip": "csv", "csr.npz": "csr", "dat.gz": "dat", "csv/ratings.csv": "ratings"}
    assert {name: datasets.load(path=DATA / "formats" / name).name for name in names} == names
    likes = datasets.load(path=str(DATA / "formats" / "csv"))
    assert (likes.n_users, likes.n_items, likes.n_likes) == (3, 3, 5)
    assert likes.titles.tolist() == list(TITLES.values())
    packed = tmp_path / "my.csv.gz"
    packed.write_bytes((DATA / "formats" / "dat.gz").read_bytes())
    assert datasets.load(path=packed).name == "my"


def allow_growth(name, monkeypatch):
    """For files that compress too well to be read so far, though what they are to show stands further on."""
    if name in ("long_names.csv.gz", "long_line.txt.gz"):
        monkeypatch.setattr(sources, "SMALL", 64 * 2**20)
    if name == "long_names.csv.gz":
        monkeypatch.setattr(columns, "MAX_BYTES", 10_000_000)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_hostile_files_are_refused_with_a_sentence(name, monkeypatch, capsys):
    path = DATA / "hostile" / name
    needs_pyarrow(path)
    allow_growth(name, monkeypatch)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}.*{REFUSED[name]}") as refusal:
        read(path, values=True, times=True)
    sentence = str(refusal.value)
    assert "\n" not in sentence and len(sentence) < 400
    assert capsys.readouterr().out == ""  # a pickle that ran would have printed


@pytest.mark.parametrize("name", sorted(set(REFUSED) - WRONG_IN_VALUES))
def test_the_command_line_refuses_them_with_the_same_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = DATA / "hostile" / name
    needs_pyarrow(path)
    allow_growth(name, monkeypatch)
    assert main(["train", "--data", str(path), "--out", "model.safetensors"]) == 2
    printed, sentence = capsys.readouterr()
    assert printed == "" and sentence.count("\n") == 1
    assert re.search(f"^autoenc train: {re.escape(str(path))}.*{REFUSED[name]}", sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(READ))
def test_ugly_files_are_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ratings = read(DATA / "hostile" / name)
    assert (ratings.users.tolist(), ratings.items.tolist()) == READ[name]
    assert list(tmp_path.iterdir()) == []
    likes = datasets.load(path=DATA / "hostile" / name)
    assert likes.n_items == len(set(READ[name][1]))


def test_every_hostile_file_has_its_line_above():
    assert set(MAKE["hostile"]()) == set(REFUSED) | set(READ)


def test_what_is_wrong_in_ratings_does_not_trouble_who_asks_for_likes():
    for name in WRONG_IN_VALUES:
        assert read(DATA / "hostile" / name).users.tolist() == USERS


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file or folder .*gone\.csv\."):
        read(tmp_path / "gone.csv")


def test_a_folder_without_ratings(tmp_path):
    with pytest.raises(ValueError, match="holds no files; pass a folder"):
        read(tmp_path)
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / name).write_text("1 2\n")
    with pytest.raises(ValueError, match=r"has 4 files that may hold the ratings \('a.txt', 'b.txt', 'c.txt', ...\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "sizes"), [("gowalla", (29_858, 40_981, 1_027_370)), ("pinterest", (37_501, 9_836, 1_000_154))]
)
def test_lightgcns_own_data_sets(name, sizes):
    """As they are published: all parts together are the set, and pinterest's pairs that stand twice count once."""
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not at AUTOENC_TEST_DATA")
    likes = datasets.load(path=REAL / name)
    assert (likes.n_users, likes.n_items, likes.n_likes) == sizes and likes.name == name
    first = (REAL / name / "train.txt").read_text().splitlines()[0].split()
    liked = likes.item_ids[likes.user_items[[0]].indices]
    assert likes.user_ids[0] == int(first[0]) and set(map(int, first[1:])) <= set(liked.tolist())


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("item_id:token\ttimestamp:float\tuser_id:token\trating:float\tgenre:token_seq", "itur?"),
        ("review:token_seq\tuser_id:token\thelpful:float\titem_id:token\trating:float\ttimestamp:float", "?u?irt"),
        ("user_id:token\titem_id:token\tlabel:float\tvector:float_seq", "ui??"),
        ("timestamp:float\tartist_id:token\tweight:float\tuser_id:token\ttag_value:token", "ti?u?"),
    ],
)
def test_recboles_columns_may_stand_in_any_order_among_others(tmp_path, header, order):
    rows = []
    for user, item, rating, timestamp in RATINGS:
        cells = {"u": user, "i": item, "r": rating, "t": f"{timestamp}.0", "?": 'a "b, 7 0.5'}
        rows.append("\t".join(str(cells[kind]) for kind in order))
    (tmp_path / "x.inter").write_text("\n".join([header, *rows, ""]))
    (tmp_path / "x.item").write_text("item_id:token\ttitle:token_seq\n10\tHeat\n")
    found = read(tmp_path, values=True)
    users, items, ratings, timestamps = map(list, zip(*RATINGS))
    assert found.users.tolist() == users and found.items.tolist() == items
    assert (None if found.ratings is None else found.ratings.tolist()) == (ratings if "r" in order else None)
    assert (None if found.timestamps is None else found.timestamps.tolist()) == (timestamps if "t" in order else None)


def test_hidden_files_are_no_ratings(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"\0\0")
    (tmp_path / "likes.txt").write_text("1 2\n")
    assert read(tmp_path).items.tolist() == [2]


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install '\.\[parquet\]', or save it as CSV"):
        read(DATA / "formats" / "table.parquet")


@pytest.fixture
def save_parquet(tmp_path):
    pytest.importorskip("pyarrow")

    def save(names=("user", "item", "rating", "timestamp"), **columns):
        import pyarrow.parquet

        named = {"user": [1, 2], "item": [3, 4], "rating": [5, 4], "timestamp": [0, 1], **columns}
        table = pyarrow.Table.from_arrays([pyarrow.array(column) for column in named.values()], names=list(names))
        pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
        return tmp_path / "t.parquet"

    return save


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"user": [True, False]}, "the column user has type bool; convert it"),
        ({"user": [1.5, 2.0]}, "the column user holds a number that is not an integer; convert it to integers"),
        (
            {"item": np.array(["2020-01-01", "2020-01-02"], "M8[D]")},
            r"the column item has type date32\[day\]; convert it to",
        ),
        (
            {"item": np.array([3, 2**64 - 1], np.uint64)},
            r"the column item holds 3 to 18446744073709551615, but ids must be",
        ),
        ({"rating": ["good", "bad"]}, "the rating 'good' is not a number"),
        ({"rating": [5, np.nan]}, "the column rating: the rating 'nan' is not a number; fix or drop its row"),
        ({"timestamp": [None, 1]}, "the column timestamp has 1 missing values; drop those rows"),
        ({"names": ["user", "item", "user", "timestamp"]}, "has 2 columns 'user'; rename all but one"),
    ],
)
def test_parquet_tables_that_are_no_ratings(save_parquet, columns, sentence):
    path = save_parquet(**columns)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} cannot be read: {sentence}.*\.$"):
        read(path, values=True, times=True)


def test_ids_in_parquet_are_what_they_are_in_text(save_parquet):
    assert read(save_parquet(user=["7.0", "7"], item=[3.0, 4.0])).users.tolist() == [7, 7]
    assert read(save_parquet(user=["007", "7"])).users.tolist() == ["007", "7"]
    assert read(save_parquet(user=["ann", "José "])).users.tolist() == ["ann", "José"]
    assert read(save_parquet(user=[b"Jos\xe9", b"ann"])).users.tolist() == ["José", "ann"]
    import pyarrow

    coded = pyarrow.array(["b", "", "b", "a"]).dictionary_encode().take(pyarrow.array([2, 3]))  # "" is not in use
    assert read(save_parquet(user=coded)).users.tolist() == ["b", "a"]
    assert read(save_parquet(user=pyarrow.array([9, 8]).dictionary_encode())).users.tolist() == [9, 8]
    times = np.array(["1970-01-01T00:00:02", "1970-01-02T00:00:00"], "M8[us]")
    assert read(save_parquet(timestamp=times), values=True).timestamps.tolist() == [2, 86_400]


def test_truth_in_parquet_is_a_rating_or_a_weight(save_parquet):
    path = save_parquet(names=("user", "item", "liked", "timestamp"), rating=[True, False])
    assert read(path, values=True).ratings.tolist() == [1, 0]
    assert "rating = liked (every rating is a like)" in read(path).source
    assert read(path, options=ReadOptions(weight="liked")).weights.tolist() == [1, 0]
    with pytest.raises(ValueError, match="the column liked has type bool"):
        read(path, options=ReadOptions(time="liked"))


def test_a_string_that_parquet_repeats_stands_in_memory_once(save_parquet):
    """A file of 3 KB, whose column of users takes 12 GB in NumPy's form."""
    pyarrow = pytest.importorskip("pyarrow")
    n = 300_000
    users = pyarrow.DictionaryArray.from_arrays(np.zeros(n, np.int32), ["x" * 10_000])
    path = save_parquet(user=users, item=np.ones(n), rating=np.ones(n), timestamp=np.ones(n))
    with pytest.raises(ValueError, match=r"the user id .x+\.\.\.x+. has 10,000 characters; at most 256 are allowed"):
        read(path)


def test_an_array_as_large_as_its_header_says_is_not_made(tmp_path):
    """Of 2 GB, which NumPy would ask for before it finds that there is no more to read."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<i4", "fortran_order": False, "shape": (500_000_000,)})
    (tmp_path / "m.npz").write_bytes(MAKE["npz"](format=b"csr"))
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as archive:
        archive.writestr("indices.npy", content.getvalue() + bytes(100))
    with pytest.raises(ValueError, match=r"'indices.npy'\) cannot be read: its header says 2,000,000,000 bytes, but"):
        read(tmp_path / "m.npz")
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("format.npy", b"\x93NUMPY\x03\x00" + bytes(100))
    with pytest.raises(ValueError, match=r"cannot be read: its \.npy format is neither 1.0 nor 2.0"):
        read(tmp_path / "v.npz")


@pytest.mark.parametrize("form", ["csv", "npz", "parquet"])
def test_one_long_id_does_not_widen_all_the_others(form, tmp_path, monkeypatch, request):
    """NumPy's strings are all as wide as the longest: 2 GB for a file of 4 MB."""
    users, path = ["x" * 200, *["a"] * 999], tmp_path / "t"
    if form == "csv":
        path.write_text("user,item\n" + "".join(f"{user},1\n" for user in users))
    elif form == "npz":
        likes = sparse.csr_array(np.ones((2, 1000), np.float32))
        ids = {"user_ids": np.array(users[:2]), "item_ids": np.arange(1000)}
        arrays = {"indices": likes.indices, "indptr": likes.indptr, "data": likes.data, "shape": likes.shape}
        path.write_bytes(MAKE["npz"](format=b"csr", **arrays, **ids))
    else:
        path = request.getfixturevalue("save_parquet")(
            **dict.fromkeys(("item", "rating", "timestamp"), [1] * 1000), user=users
        )
    assert read(path).users[0] == "x" * 200
    monkeypatch.setattr(columns, "SMALL", 0)
    monkeypatch.setattr(columns, "MAX_RATIO", 4)
    with pytest.raises(
        ValueError, match=r",000 user ids of up to 200 characters need more than [\d,]+ bytes; replace them"
    ):
        read(path)


def test_strings_wider_than_an_id_are_not_multiplied_by_likes(tmp_path):
    """Of 4 MB, by 1,000 likes."""
    likes = sparse.csr_array(np.ones((1, 1000), np.float32))
    arrays = {"indices": likes.indices, "indptr": likes.indptr, "data": likes.data, "shape": likes.shape}
    ids = {"user_ids": np.array(["x" * 1_000_000]), "item_ids": np.arange(1000)}
    (tmp_path / "m.npz").write_bytes(MAKE["npz"](format=b"csr", **arrays, **ids))
    with pytest.raises(ValueError, match=r"m\.npz has user_ids of up to 1,000,000 characters; at most 256 are"):
        read(tmp_path / "m.npz")


def test_a_string_that_parquet_repeats_counts_each_time(save_parquet, monkeypatch):
    monkeypatch.setattr(sources, "SMALL", 1_000_000)
    n = 10_000
    columns = dict.fromkeys(("item", "rating", "timestamp"), [1] * n)
    assert read(save_parquet(user=["x" * 50] * n, **columns)).users[-1] == "x" * 50
    with pytest.raises(
        ValueError, match="the column user grows to 2,010,000 bytes of text, beyond the limit of 1,000,000;"
    ):
        read(save_parquet(user=["x" * 200] * n, **columns))


def test_a_stored_zero_is_no_like_and_any_other_number_is_one(tmp_path):
    matrix = sparse.csr_array(([0.0, 1.0, -1.0, 5.0], ([0, 0, 1, 1], [0, 1, 0, 2])), shape=(2, 4))
    sparse.save_npz(tmp_path / "m.npz", matrix)
    ratings = read(tmp_path / "m.npz")
    assert list(zip(ratings.users.tolist(), ratings.items.tolist())) == [(0, 1), (1, 0), (1, 2)]


def test_ones_may_compress_as_well_as_they_like(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SMALL", 1000)
    likes = sparse.csr_array(np.random.default_rng(0).random((300, 5000)) < 0.1, dtype=np.float64)
    sparse.save_npz(tmp_path / "m.npz", likes)
    data = zipfile.ZipFile(tmp_path / "m.npz").getinfo("data.npy")
    assert data.file_size > sources.MAX_RATIO * data.compress_size
    assert np.array_equal(read(tmp_path / "m.npz").items, likes.indices)


def test_ids_that_are_strings_stay_strings(tmp_path):
    path = tmp_path / "likes.csv"
    path.write_text("itemId,userId\nB000A,ann\n0312,bob\n", encoding="utf-8")
    ratings = read(path)
    assert ratings.users.tolist() == ["ann", "bob"] and ratings.items.tolist() == ["B000A", "0312"]


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId",
        "user,item",
        "user_id,item_id",
        "USER ID,Movie",
        '"user-id","item.id"',
        "uid,iid",
        "customer,product",
        "user,item,movie",
    ],
)
def test_names_of_columns(header, tmp_path):
    path = tmp_path / "likes.csv"
    path.write_text(f"{header}\n" + ("1,2,3\n" if header.count(",") == 2 else "1,2\n"))
    assert read(path)[:2] == (np.array([1]), np.array([2]))


def test_values_are_read_without_times_that_are_none(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating,date\n1,10,4,20180926\n1,11,5,20180927\n2,10,3,20180928\n")
    found = read(path, values=True)
    assert found.ratings.tolist() == [4, 5, 3] and found.timestamps is None
    assert "without times: " in found.source and "not a number of seconds but a date; write 2018-09-28" in found.source
    for asked in ({"times": True}, {"options": ReadOptions(time="date")}):
        with pytest.raises(ValueError, match="not a number of seconds but a date"):
            read(path, values=True, **asked)


def test_headerless_tables_of_strings_are_known_by_their_ratings(tmp_path):
    path = tmp_path / "ratings_Books.csv"
    path.write_text("A2IB,0005B,5.0,1234\nA3,7,1,1235\n")
    ratings = read(path, values=True)
    assert ratings.users.tolist() == ["A2IB", "A3"] and ratings.items.tolist() == ["0005B", "7"]
    assert ratings.ratings.tolist() == [5, 1] and ratings.timestamps.tolist() == [1234, 1235]


def test_a_title_that_no_table_can_hold_is_refused_with_its_line(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,10,4\n")
    (tmp_path / "movies.csv").write_text('movieId,title\n10,Heat\n11,"' + "x" * 200_000 + '"\n')
    with pytest.raises(ValueError, match=r"movies.csv, line 3: field larger than field limit \(131072\); fix"):
        read(tmp_path)


def test_titles_by_string_ids(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId\n1,tt01\n2,7\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\ntt01,"Heat, again",x\n\n7,Ronin,x\n')
    assert datasets.load(path=tmp_path).titles.tolist() == ["Ronin", "Heat, again"]


def test_a_member_that_lies_about_its_compressed_size_cannot_grow_beyond_the_file():
    path = DATA / "hostile" / "bomb.zip"
    (member,) = sources.members(path)
    member.compress_size = 2**40
    n_bytes = 0
    # newer versions of zipfile see that it would overlap the archive's directory, older ones read to the file's end
    refused = pytest.raises(ValueError, match=r"is damaged \(Overlapped entries.*|cut off \(it ends early\)")
    with refused, sources.Source(path, member).open() as stream:
        while chunk := stream.read(2**20):
            n_bytes += len(chunk)
    assert n_bytes < sources.SMALL


def test_a_bomb_goes_off_once(monkeypatch):
    monkeypatch.setattr(text, "_table_of_text", lambda source, table: pytest.fail("read a second time"))
    with pytest.raises(ValueError, match="grows to more than"):
        read(DATA / "hostile" / "bomb.zip")


ids = st.one_of(
    st.integers(0, 2**63 - 1),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("C", "Z"))),
)


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.floats(-10, 10, width=32)), min_size=1)
)
def test_both_readers_of_tables_agree(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("agree") / "t.csv"
    path.write_text("rating,user,item\n" + "".join(f"{rating!r},{user},{item}\n" for user, item, rating in rows))
    table = Table("", ",", {"user": 1, "item": 2, "rating": 0}, 3, ("rating", "user", "item"), skip=1)
    fast, slow = (reader(sources.Source(path), table) for reader in (text._table_of_numbers, text._table_of_text))
    for column in ("users", "items", "ratings"):
        assert np.array_equal(getattr(fast, column), getattr(slow, column))
        assert getattr(fast, column).flags.owndata  # not a stride through all columns
    assert fast.users.tolist() == [user for user, *_ in rows]


@given(st.lists(st.tuples(ids, ids), min_size=1), st.sampled_from(",;|\t"))
def test_what_csv_writes_is_read(tmp_path_factory, rows, delimiter):
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([("user", "item"), *rows])
    path = tmp_path_factory.mktemp("csv") / "t"
    path.write_bytes(file.getvalue().encode())
    bad = "|".join([columns.NEGATIVE, "nan|null|none|<na>|", *columns.NOT_IDS.values()])
    if any(re.fullmatch(bad, str(id_).lower(), re.ASCII) and not isinstance(id_, int) for row in rows for id_ in row):
        with pytest.raises(
            ValueError, match=r"is missing|is negative|is a number that|is a list|is a time|has .* in the"
        ):
            read(path)
        return
    ratings = read(path)
    for column, written in zip(ratings[:2], zip(*rows)):
        if column.dtype.kind == "i":
            assert column.tolist() == [int(float(i)) if "." in str(i) else int(i) for i in written]
        else:
            assert column.tolist() == [str(id_) for id_ in written]


def test_the_readers_need_neither_numba_nor_the_network():
    program = (
        "import sys, autoenc.datasets; print({'numba', 'pooch', 'requests', 'tqdm', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read by the module resource")
def test_ten_million_lines_take_under_1500_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    n = 1_000_000
    path = tmp_path / "ratings.dat"
    with path.open("w") as file:
        for first_user in range(1, 70_001, 7_000):
            users = np.sort(rng.integers(first_user, first_user + 7_000, n))
            rows = zip(users, rng.integers(1, 65_134, n), rng.integers(1, 6, n), rng.integers(789652009, 1231131736, n))
            file.writelines(f"{user}::{item}::{rating}::{time}\n" for user, item, rating, time in rows)
    program = (
        "import resource, sys\n"
        "from autoenc import datasets\n"
        "likes = datasets.load(path=sys.argv[1])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(likes.n_users, peak / (2**20 if sys.platform == 'darwin' else 2**10))"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    n_users, megabytes = done.stdout.split()
    assert int(n_users) == 70_000
    assert float(megabytes) < 1500


def test_formats_lists_what_it_reads():
    for word in ("u.data", ".inter", "LightGCN", "DSSTNE", ".npz", "parquet"):
        assert word in formats.__doc__


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("is_even", [True, False])
def test_the_fast_reader_takes_rows_of_one_width(end, is_even, tmp_path):
    rows = ["1,2,5", "3,4,5", "5,6,5" if is_even else "5,6", "7,8,5" if is_even else "7,8,9,5"]
    (tmp_path / "t.csv").write_bytes(end.join(["user,item,rating", *rows, ""]).encode())
    table = Table("", ",", {"user": 0, "item": 1}, 3, ("user", "item", "rating"), skip=1)
    found = text._table_of_numbers(sources.Source(tmp_path / "t.csv"), table)
    assert found.users.tolist() == [1, 3, 5, 7] if is_even else found is None
