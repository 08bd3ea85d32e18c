"""The readers of text, parquet and DuckDB give the same likes for the same rows, or refuse them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from autoenc import datasets
from autoenc.datasets import ReadOptions
from autoenc.datasets.cells import cells_of
from autoenc.datasets.prepared import read_prepared
from tests.datasets.test_corpus import write
from tests.helpers.corpus import CASES, Case
from tests.helpers.layouts import files, guessed

pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

from autoenc.datasets import tables  # noqa: E402

pytestmark = pytest.mark.optional


def likes_of(likes):
    """Everything that readers have to agree on."""
    rows, columns = likes.user_items.nonzero()
    pairs = list(zip(likes.user_ids[rows].tolist(), likes.item_ids[columns].tolist()))
    times = None if likes.times is None else likes.times.tolist()
    return pairs, times, None if likes.weights is None else likes.weights.tolist()


def by_duckdb(path, folder, case: Case):
    tables.prepare(path, folder, times=case.times is not None, options=ReadOptions(**case.options))
    return read_prepared(folder, times=case.times is not None)


@pytest.mark.parametrize("name", CASES)
def test_duckdb_reads_what_is_read_in_memory_or_refuses(name, tmp_path):
    case = CASES[name]
    path = write(tmp_path, case)
    if case.refused is None and case.duckdb is None:
        in_memory = datasets.load(path=path, times=case.times is not None, **case.options)
        assert likes_of(by_duckdb(path, tmp_path / "out", case)) == likes_of(in_memory)
        return
    with pytest.raises(ValueError, match=f"(?s)({case.duckdb or case.refused})"):
        by_duckdb(path, tmp_path / "out", case)
    assert not (tmp_path / "out").exists()


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(files() | guessed())
def test_duckdb_reads_what_is_written_in_any_layout_or_refuses(tmp_path, written):
    options, times = ReadOptions(**written.options), written.times is not None
    path = tmp_path / "likes"
    path.write_bytes(written.content)
    try:
        tables.prepare(path, tmp_path / "out", times=times, options=options)
    except ValueError:
        return
    assert likes_of(read_prepared(tmp_path / "out", times=times)) == likes_of(
        datasets.load(path=path, times=times, **written.options)
    )


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused is None and case.duckdb is None])
def test_parquet_of_the_same_cells_gives_the_same(name, tmp_path):
    """Of tables with a header: what a text has in its cells, as strings."""
    case = CASES[name]
    text = case.content if isinstance(case.content, str) else None
    first = (text or "").lstrip("\ufeff\n").replace("\r\n", "\n").replace("\r", "\n").splitlines(keepends=True)
    delimiter = next((d for d in "\t,;|~" if first and d in first[0]), None)
    if delimiter is None or case.options.get("header") is False or "with a header" not in source_of(tmp_path, case):
        pytest.skip("no table with a header")
    header, *rows = (
        cells for _, cells in cells_of(first, delimiter, quoted='"Best' not in text and '\t"\n' not in text)
    )
    rows = [row[: len(header)] for row in rows]
    columns = {name: [row[n] for row in rows] for n, name in enumerate(header) if name and n < len(rows[0])}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    options = {name: value for name, value in case.options.items() if name != "delimiter"}
    found = datasets.load(path=tmp_path / "t.parquet", times=case.times is not None, **options)
    in_text = datasets.load(path=write(tmp_path, case), times=case.times is not None, **case.options)
    assert likes_of(found) == likes_of(in_text)


def source_of(folder, case):
    return datasets.load(path=write(folder, case), **case.options).source


def test_truth_in_parquet_is_a_number_to_duckdb_too(tmp_path):
    parquet.write_table(pa.table({"user": [1, 1], "item": [2, 3], "liked": [True, False]}), tmp_path / "t.parquet")
    counts = tables.prepare(tmp_path / "t.parquet", tmp_path / "out", options=ReadOptions(min_rating=1))
    assert counts.likes == datasets.load(path=tmp_path / "t.parquet", min_rating=1).n_likes == 1
    with pytest.raises(ValueError, match="the column of times has type BOOLEAN"):
        tables.prepare(tmp_path / "t.parquet", tmp_path / "out", options=ReadOptions(time="liked"))
