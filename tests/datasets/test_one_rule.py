"""DuckDB opens exactly the named files, and has the same rules for ids as the reader in memory."""

from __future__ import annotations

import contextlib
import shutil

import pytest

from autoenc import datasets
from autoenc.interactions import Interactions

pytest.importorskip("duckdb")

from autoenc.datasets import tables
from autoenc.datasets.columns import SPACES
from autoenc.datasets.prepared import read_prepared

pytestmark = pytest.mark.optional


def ids_by_each(path, folder) -> list[tuple[list, list]]:
    """The ids and the number of likes that either reader finds at a path."""
    tables.prepare(path, folder)
    both = read_prepared(folder), datasets.load(path=path)
    return [(likes.user_ids.tolist(), likes.item_ids.tolist(), likes.n_likes) for likes in both]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "name", ["a[1]", "*", "a?", "100%", "%s", "{x}", "'", '"', "[[]", "[!1]", "~", "a b", "\u202e", "**"]
)
def test_the_named_file_is_read_and_no_other(name, ending, tmp_path):
    """Among others that its name would match as a pattern."""
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    for other in ("a1", "ab", "b", "1", "["):
        write(folder / f"{other}.{ending}", "wrong")
    path = write(folder / f"{name}.{ending}", "right")
    likes = Interactions.from_pairs(["right"], ["x"])
    tables.prepare(path, tmp_path / "out")
    assert read_prepared(tmp_path / "out").user_ids.tolist() == likes.user_ids.tolist()


def test_a_folder_of_such_files_is_read_once(tmp_path):
    folder = tmp_path / "in[12]"
    for name in ("part[1]", "part1", "part*", "part?"):
        (folder / "p[0]=%s").mkdir(parents=True, exist_ok=True)
        write(folder / "p[0]=%s" / f"{name}.csv", name)
    counts = tables.prepare(folder, tmp_path / "out")
    assert counts.rows == 4
    assert read_prepared(tmp_path / "out").user_ids.tolist() == sorted(["part[1]", "part1", "part*", "part?"])


def write(path, user):
    if path.suffix == ".csv":
        path.write_text(f"user,item\n{user},x\n", encoding="utf-8")
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"user": [user], "item": ["x"]}), path)
    return path


def test_what_surrounds_an_id_is_no_part_of_it(tmp_path):
    spaces = [space for space in SPACES if space not in "\r\n"]
    rows = [f"{space}ann{space},{space}7" for space in spaces] + [f"a{space}b,8" for space in spaces if space != "\t"]
    (tmp_path / "t.csv").write_text("user,item\n" + "\n".join(rows) + "\nbob,9\n", encoding="utf-8")
    prepared, in_memory = ids_by_each(tmp_path / "t.csv", tmp_path / "out")
    assert prepared == in_memory
    assert {"ann", "bob", "a\u3000b"} <= set(prepared[0]) and prepared[1] == [7, 8, 9] and len(prepared[0]) == 28


@pytest.mark.parametrize(
    ("id_", "taken"),
    [
        *[("007", True), ("7.0", True), ("\u0663", True), ("7.", True), ("-7", False), ("\u3000-7.0", False)],
        *[("\u2003", False), ("\x1f", False), ("NaN\u00a0", False), ("<NA>", False), ("null ", False)],
        *[("a\0", False), ("\0", False), ("a\0b", False), ("x" * 256, True), ("x" * 257, False)],
    ],
)
def test_both_take_or_both_refuse(id_, taken, tmp_path):
    (tmp_path / "t.csv").write_text(f"user,item\nann,1\n{id_},2\n", encoding="utf-8")
    with contextlib.nullcontext() if taken else pytest.raises(ValueError, match=r"user id|neither text nor"):
        prepared, in_memory = ids_by_each(tmp_path / "t.csv", tmp_path / "out")
        assert prepared == in_memory
    if not taken:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with pytest.raises(ValueError, match=r"user id|neither text nor"):
            datasets.load(path=tmp_path / "t.csv")


@pytest.mark.parametrize("header", ["user,\x1b[2J", "user,x\x9b" + ",y" * 2_000, "\x1b]0;x\x07,\x1b[2J"])
def test_a_header_reaches_no_terminal_as_it_is(header, tmp_path):
    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n", encoding="utf-8")
    for make in (
        lambda: tables.prepare(tmp_path / "t.csv", tmp_path / "out"),
        lambda: datasets.load(path=tmp_path / "t.csv"),
    ):
        with pytest.raises(ValueError, match=r"t\.csv") as error:
            make()
        assert str(error.value).isprintable() and len(str(error.value)) < 1_200


def test_a_nul_behind_what_is_looked_at_first_is_refused_with_its_line(tmp_path):
    (tmp_path / "t.csv").write_text("user,item\n" + "ann,1\n" * 20_000 + "bo\0b,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 20,002: the user id 'bo\\x00b' holds the character NUL; fix the line"):
        datasets.load(path=tmp_path / "t.csv")
