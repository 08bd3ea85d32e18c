"""Make formats/, the same ratings in every supported format, and hostile/, files that must be refused.

    python tests/data/make.py

The result always has the same bytes. Parquet needs pyarrow; without it, the parquet files are left unchanged.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

HERE = Path(__file__).parent

# user, item, rating, timestamp
RATINGS = [
    (7, 10, 5.0, 978300760),
    (7, 25, 3.5, 978302109),
    (3, 10, 4.0, 978301968),
    (3, 300, 2.0, 978300275),
    (11, 300, 0.5, 978824291),
]
TITLES = {10: "Amélie (2001)", 25: "Heat, or so (1995)", 300: "Ronin (1998)"}


def lines(delimiter: str, header: str = "") -> str:
    rows = [
        delimiter.join(f"{value:g}" if isinstance(value, float) else str(value) for value in row) for row in RATINGS
    ]
    return "".join(f"{row}\n" for row in ([header] if header else []) + rows)


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=True)
            add(archive, f"{name}.npy", content.getvalue())
    return file.getvalue()


def matrix(kind: str, **changes) -> bytes:
    """As scipy.sparse.save_npz writes it, with some arrays changed, or left out where they are None."""
    users, items, values, _ = (np.array(column) for column in zip(*RATINGS))
    made = sparse.coo_array((values.astype(np.float32), (users, items)), shape=(12, 301)).asformat(kind)
    places = {"row": made.row, "col": made.col} if kind == "coo" else {"indices": made.indices, "indptr": made.indptr}
    arrays = {**places, "format": kind.encode(), "shape": made.shape, "data": made.data, "_is_array": True, **changes}
    return npz(**{name: array for name, array in arrays.items() if array is not None})


def add(archive: zipfile.ZipFile, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    member = zipfile.ZipInfo(name)
    member.compress_type = method
    archive.writestr(member, content)


def zipped(members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            add(archive, name, content.encode() if isinstance(content, str) else content, method)
    return file.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def parquet(**columns) -> bytes | None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def formats() -> dict[str, str | bytes | None]:
    csv = lines(",", "userId,movieId,rating,timestamp")
    movies_csv = "movieId,title,genres\n" + "".join(f'{i},"{title}",Drama|Thriller\n' for i, title in TITLES.items())
    movies_dat = "".join(f"{i}::{title}::Drama|Thriller\n" for i, title in TITLES.items()).encode("latin-1")
    reordered = '"timestamp";"item_id";"note";"User ID"\n'
    reordered += "".join(f'{t};"{i}";"rated {r}; so be it";{u}\n' for u, i, r, t in RATINGS)
    of_user: dict[int, list] = {}
    for user, item, rating, _ in RATINGS:
        of_user.setdefault(user, []).append((item, rating))
    lightgcn = [" ".join(map(str, [user, *(item for item, _ in liked)])) for user, liked in of_user.items()]
    dsstne = [f"{user}\t" + ":".join(f"{item},{rating:g}" for item, rating in liked) for user, liked in of_user.items()]
    plain = [f"{user}\t" + ":".join(str(item) for item, _ in liked) for user, liked in of_user.items()]
    users, items, ratings, timestamps = zip(*RATINGS)
    return {
        "dat/ratings.dat": lines("::"),
        "dat/movies.dat": movies_dat,
        "csv/ratings.csv": csv,
        "csv/movies.csv": movies_csv,
        "100k/u.data": lines("\t"),
        "100k/u.item": "".join(f"{i}|{title}|01-Jan-1995||0|1\n" for i, title in TITLES.items()).encode("latin-1"),
        "reordered.csv": reordered,
        "floats.csv": "user,item\n" + "".join(f"{u}.0,{i}.0\n" for u, i, *_ in RATINGS),
        "headerless.csv": lines(","),
        "recbole.inter": lines("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float"),
        "lightgcn.txt": "\n".join([*lightgcn, "12", ""]),
        "lightgcn/train.txt": f"{lightgcn[0]} \n",
        "lightgcn/valid.txt": f"{lightgcn[1]}\n",
        "lightgcn/test.txt": f"{lightgcn[2]}\n",
        "dsstne.txt": "\n".join(dsstne) + "\n",
        "dsstne_plain.txt": "\n".join(plain) + "\n",
        "csr.npz": matrix("csr"),
        "csc.npz": matrix("csc"),
        "coo.npz": matrix("coo"),
        "table.parquet": parquet(userId=users, movieId=items, rating=ratings, timestamp=timestamps),
        "dat.gz": gzipped(lines("::").encode()),
        "csv.zip": zipped(
            {"ml/": "", "__MACOSX/ml/._ratings.csv": "x", "ml/movies.csv": movies_csv, "ml/ratings.csv": csv}
        ),
        "gzipped.zip": zipped({"ratings.csv.gz": gzipped(csv.encode())}),
        "not_the_name.jpg": csv,
    }


def hostile() -> dict[str, str | bytes | None]:
    csv = lines(",", "userId,movieId,rating,timestamp")
    long_lines = b"userId,movieId,note\n" + (b"1,2," + b"x" * 10_000 + b"\n") * 9_000
    encrypted = bytearray(zipped({"ratings.csv": csv}))
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    return {
        "bomb.zip": zipped({"ratings.csv": long_lines}),
        "bomb.csv.gz": gzipped(long_lines),
        "long_line.txt.gz": gzipped(b"1 2\n3" + b" 4" * 9_000_000),
        "two_ratings.zip": zipped({"a/ratings.csv": csv, "b/ratings.csv": csv}),
        "no_files.zip": zipped({"empty/": ""}),
        "nested.zip": zipped({"archive.zip": zipped({"ratings.csv": csv})}),
        "encrypted.zip": bytes(encrypted),
        "bzip2.zip": zipped({"ratings.csv": csv}, zipfile.ZIP_BZIP2),
        "cut_off.zip": zipped({"ratings.csv": csv})[:100],
        "bad_crc.zip": zipped({"ratings.csv": csv}, zipfile.ZIP_STORED).replace(b"7,10,5", b"7,11,5"),
        "bad_header.zip": zipped({"ratings.csv": csv}).replace(b"PK\3\4", b"PK\3\5"),
        "bad_directory.zip": zipped({"ratings.csv": csv}).replace(b"PK\1\2", b"PK\1\3"),
        "bad_offset.zip": bad_offset(csv),
        "bad_name.zip": zipped({"räting.csv": csv}).replace("ä".encode(), b"\xcb\xcb", 1),
        "nameless.zip": zipped({"": csv}),
        "page.zip": "<!DOCTYPE html><html><body>Please log in to the network</body></html>\n",
        "cut_off.csv.gz": gzipped(csv.encode())[:60],
        "empty.csv": "",
        "blank.csv": "\n  \n\n",
        "only_header.csv": "userId,movieId,rating,timestamp\n",
        "no_item.csv": "userId,thing,rating\n1,2,3\n",
        "nul.csv": csv.replace("978302109", "\0"),
        "nan_id.csv": csv.replace("3,300,", "3,NaN,"),
        "missing_id.csv": csv.replace("3,300,", ",300,"),
        "negative_id.csv": csv.replace("3,300,", "3,-300,"),
        "long_id.csv": csv.replace("3,300,", f"3,{'x' * 300},"),
        "nan_rating.csv": csv.replace("300,2,", "300,NaN,"),
        "bad_timestamp.csv": csv.replace("978824291", "yesterday"),
        "huge_timestamp.csv": csv.replace("978824291", "1e300"),
        "list_in_a_table.txt": lines("\t").replace("3\t10\t4\t978301968", "3\t10,300"),
        "few_columns.csv": csv.replace("3,300,2,978300275", "3"),
        "open_quote.csv": csv.replace("3,300,", '"3,300,'),
        "long_field.csv.gz": gzipped(b"user,item\n1,2\na," + b"x" * 200_000 + b"\n"),
        "long_names.csv.gz": gzipped(b"user,item\n" + b"a,1\n" * 39_999 + b"b" * 250 + b",1\n"),
        "letters.dat": lines("::").replace("3::300", "3::3oo"),
        "wide.dat": lines("::").replace("3::300", f"3::{2**70}"),
        "single_colons.dat": lines("::").replace("3::300::2::", "3:300:2:"),
        "negative.txt": "1 2 3\n4 -5\n",
        "letters.txt": "".join(f"{user} 2 3\n" for user in range(30)) + "40 five\n",
        "no_tab.txt": "a\tb:c\n" * 30 + "d b:c\n",
        "bad_titles.zip": zipped({"ratings.csv": csv, "movies.csv": "movieId,title\n3,Ronin\nten,Heat (1995)\n"}),
        "cache_train.npy": pickled_lists(),
        "pickled.npz": matrix("csr", data=np.array([Bomb()], object)),
        "dense.npz": npz(ratings=np.ones((3, 3))),
        "dia.npz": matrix("csr", format=b"dia"),
        "nan.npz": matrix("csr", data=np.array([1, np.nan, 1, 1, 1], np.float32)),
        "strings.npz": matrix("csr", data=np.array(["a"] * 5)),
        "too_much_data.npz": matrix("csr", data=np.ones(20_000_000, np.int8)),
        "out_of_range.npz": matrix("csr", indices=np.array([0, 1, 2, 3, 2**31 - 1], np.int32)),
        "broken_indptr.npz": matrix("csr", indptr=np.array([0, 9, -9, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5], np.int32)),
        "bad_shape.npz": matrix("csr", shape=np.array([2**62, 2**62])),
        "lacks_data.npz": matrix("csr", data=None),
        "huge_header.npz": huge_header(),
        "missing.parquet": parquet(user=[1, None, 3], item=[1, 2, 3]),
        "no_item.parquet": parquet(user=[1, 2], thing=[1, 2]),
        "negative_id.parquet": parquet(user=[1, -2, 3], item=[1, 2, 3]),
        "nan_id.parquet": parquet(user=[1.0, float("nan"), 3.0], item=[1, 2, 3]),
        "missing_id.parquet": parquet(user=["ann", "", "bob"], item=[1, 2, 3]),
        "long_id.parquet": parquet(user=["ann", "x" * 300, "bob"], item=[1, 2, 3]),
        "nested.parquet": parquet(user=[[1], [2], [3]], item=[1, 2, 3]),
        "bomb.parquet": parquet(user=np.ones(5_000_000, np.int64), item=np.ones(5_000_000, np.int64)),
        "cut_off.parquet": (parquet(user=[1, 2], item=[1, 2]) or b"")[:80] or None,
        # Ugly, and read nevertheless.
        "traversal.zip": zipped({"../../../escaped/ratings.csv": csv, "/etc/passwd": "x"}),
        "crlf.dat": lines("::").replace("\n", "\r\n"),
        "cr.dat": lines("::").replace("\n", "\r"),
        "utf16.csv": csv.encode("utf-16"),
        "utf32.csv": csv.encode("utf-32"),
        "bom.csv": b"\xef\xbb\xbf" + csv.encode(),
        "bom.dat": b"\xef\xbb\xbf" + lines("::").encode(),
        "blank_lines.csv": "\n \n" + csv.replace("\n", "\n\n") + " \n",
        "mixed_encodings.csv": "user,item\nJosé,Voilà\n".encode() + "José,Ronin\n".encode("latin-1"),
        "odd_digits.csv": "user,item\n²,1\n٣,2\n",
        "mixed_ids.csv": "userId,itemId\n007,B000A\n7,300\n",
        "billion_wide.csv": "user,item\n1,5\n2,4000000000\n",
        "billion_wide.npz": npz(
            row=np.array([0, 1]),
            col=np.array([5, 1_999_999_999]),
            format=b"coo",
            shape=(2, 2_000_000_000),
            data=np.ones(2),
        ),
    }


def huge_header() -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<i4", "fortran_order": False, "shape": (10**15,)})
    file = io.BytesIO(matrix("csr", indices=None))
    with zipfile.ZipFile(file, "a") as archive:
        add(archive, "indices.npy", content.getvalue())
    return file.getvalue()


def bad_offset(csv: str) -> bytes:
    content = bytearray(zipped({"ratings.csv": csv}))
    at = content.index(b"PK\5\6") + 16
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 100).to_bytes(4, "little")
    return bytes(content)


class Bomb:
    """Unpickled, it would run code."""

    def __reduce__(self):
        return print, ("A pickle ran code.",)


def pickled_lists() -> bytes:
    content = io.BytesIO()
    array = np.empty(2, object)
    array[:] = [[1, 2], [3]]
    np.lib.format.write_array(content, array, allow_pickle=True)
    return content.getvalue()


if __name__ == "__main__":
    for folder, files in (("formats", formats()), ("hostile", hostile())):
        for name, content in files.items():
            if content is not None:
                path = HERE / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
