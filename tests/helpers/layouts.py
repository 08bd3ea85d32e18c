"""Random tables of likes, written in random layouts."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from autoenc.datasets.columns import WHOLE

NUMBERS = st.integers(0, 12) | st.integers(0, 2**63 - 1)
TEXTS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("C", "Z")), min_size=1, max_size=5
)
CODES = st.text("0123456789", min_size=1, max_size=4) | st.sampled_from(
    ["007", "7", "7.0", "0", "00", "1e5", "3-4", "#1"]
)
NOTES = st.text("ab ,;|\t\"':[]{}1", max_size=6) | st.sampled_from(['"Best of', '12"', '"x" y', '""', '"', "a\nb"])

ENDINGS = {"": lambda content: content, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@dataclass
class Written:
    """A file, what was written to it, and what the reader is told."""

    content: bytes
    pairs: list[tuple[Any, Any]]
    times: list[int] | None
    options: dict[str, Any]
    layout: str


def as_read(ids: list[Any]) -> list[Any]:
    """A column of ids by the one rule: numbers if all are whole numbers, or else strings as they stand."""
    texts = [str(id_) for id_ in ids]
    if all(re.fullmatch(WHOLE, text) and int(text.partition(".")[0]) < 2**63 for text in texts):
        return [int(text.partition(".")[0]) for text in texts]
    return texts


@st.composite
def files(draw) -> Written:
    """Tables, JSON lines and lists of all sorts."""
    ids = st.tuples(
        draw(st.sampled_from([NUMBERS, NUMBERS, TEXTS, CODES])), draw(st.sampled_from([NUMBERS, TEXTS, CODES]))
    )
    rows = draw(st.lists(ids, min_size=1, max_size=25))
    users, items = zip(*rows)
    kind = draw(st.sampled_from(["table", "table", "table", "json", "lists"]))
    if kind == "lists":
        return draw(lists())
    times = draw(st.none() | st.lists(st.integers(10**8, 2 * 10**9), min_size=len(rows), max_size=len(rows)))
    columns: dict[str, list[Any]] = {"user": list(users), "item": list(items)}
    if times is not None:
        columns["time"] = times
    if draw(st.booleans()):
        columns["rating"] = draw(st.lists(st.sampled_from([1, 2.5, 5]), min_size=len(rows), max_size=len(rows)))
    for n in range(draw(st.integers(0, 2))):
        columns[f"note{n}"] = draw(st.lists(NOTES, min_size=len(rows), max_size=len(rows)))
    columns = {name: columns[name] for name in draw(st.permutations(sorted(columns)))}
    content, options, layout = draw(json_lines(columns) if kind == "json" else table(columns))
    ending = draw(st.sampled_from(sorted(ENDINGS)))
    return Written(
        ENDINGS[ending](content), list(zip(as_read(users), as_read(items))), times, options, f"{layout} {ending}"
    )


@st.composite
def json_lines(draw, columns) -> tuple[bytes, dict[str, Any], str]:
    plain = draw(st.booleans())
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    text = "".join(json.dumps(row, ensure_ascii=plain) + "\n" for row in rows)
    return text.encode("utf-8", "surrogatepass"), {}, "json"


@st.composite
def table(draw, columns) -> tuple[bytes, dict[str, Any], str]:
    delimiter = draw(st.sampled_from([",", "\t", ";", "|", ",", "\t"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, None]))
    has_header = draw(st.booleans())
    rows = [*([list(columns)] if has_header else []), *map(list, zip(*columns.values()))]
    if quoting is None:  # written by somebody who doesn't know of quotes
        clean = [[re.sub(rf"[\n\r{re.escape(delimiter)}]", "_", str(cell)) for cell in row] for row in rows]
        is_lossless = all(
            str(row[n]) == other[n]
            for n, name in enumerate(columns)
            if name in ("user", "item")
            for row, other in zip(rows, clean)
        )
        text = "".join(delimiter.join(row) + end for row in clean)
        if not is_lossless:
            quoting = csv.QUOTE_MINIMAL
    if quoting is not None:
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
        text = file.getvalue()
    options: dict[str, Any] = {}
    if not has_header:
        options = {
            "header": False,
            **{role: n for n, role in enumerate(columns, 1) if role in ("user", "item", "time")},
        }
        if draw(st.booleans()):
            options["delimiter"] = delimiter
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    return text.encode(encoding), options, f"{delimiter!r} {'header' if has_header else 'none'} {quoting} {encoding}"


@st.composite
def lists(draw) -> Written:
    """Lists of numbers, one line per user, as LightGCN has them, said to be or not."""
    of_user = draw(
        st.dictionaries(
            st.integers(0, 50), st.lists(st.integers(0, 99), max_size=6, unique=True), min_size=1, max_size=12
        )
    )
    delimiter = draw(st.sampled_from([" ", " ", "\t", ","]))
    counts = draw(st.booleans()) and len(of_user) > 1  # "1 7" alone is a user and an item
    lines, pairs = [], []
    for n, (user, items) in enumerate(of_user.items()):
        lines.append(delimiter.join(map(str, [len(items) if counts else user, *items])) + "\n")
        pairs += [(n if counts else user, item) for item in items]
    said = draw(st.booleans()) or delimiter != " "  # three numbers between commas are a like with its rating
    options = ({} if counts else {"user": 1}) | {"item": "2-", "delimiter": delimiter if delimiter != " " else "blank"}
    return Written(
        "".join(lines).encode(), pairs, None, options if said else {}, f"lists counts={counts} {delimiter!r}"
    )


@st.composite
def guessed(draw) -> Written:
    """Tables of numbers without a header, of which nothing is said."""
    users = st.integers(0, draw(st.sampled_from([3, 40, 10**9])))
    items = st.integers(0, draw(st.sampled_from([3, 40, 10**9])))
    thirds = draw(
        st.sampled_from(
            [st.integers(1, 5), st.integers(0, 10**6), st.sampled_from([0.5, 4.5]), st.integers(10**9, 2 * 10**9)]
        )
    )
    rows = draw(st.lists(st.tuples(users, items, thirds), min_size=1, max_size=80))
    width = draw(st.integers(2, 3))
    delimiter = draw(st.sampled_from([",", "\t", ";", "::", " ", "  "]))
    text = "".join(delimiter.join(map(str, row[:width])) + "\n" for row in rows)
    return Written(text.encode(), [row[:2] for row in rows], None, {}, f"guessed {delimiter!r}")
