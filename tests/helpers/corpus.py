"""Realistic files of likes, each with the likes that must be read from it, or the sentence that refuses it.

The likes are those of `PAIRS` unless a case says otherwise, for all readers.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from typing import Any, NamedTuple

PAIRS = [(7, 10), (7, 25), (3, 10), (3, 300), (11, 300)]
TIMES = [978300760, 978302109, 978301968, 978300275, 978824291]
ISO = [
    "2000-12-31 22:12:40",
    "2000-12-31 22:35:09",
    "2000-12-31 22:32:48",
    "2000-12-31 22:04:35",
    "2001-01-06 23:38:11",
]
TRUTH = ["true", "False", "TRUE", "false", "True"]
RATINGS = [5, 3.5, 4, 2, 0.5]
NAMED = [("ann", "B07"), ("ann", "007"), ("bob", "B07"), ("josé", "Heat, The")]
ASK = "pass user= and item="


class Case(NamedTuple):
    content: bytes | str
    pairs: list[tuple[Any, Any]] | None = PAIRS
    refused: str | None = None  # a pattern in the sentence
    options: dict[str, Any] = {}  # noqa: RUF012  read only
    source: str | None = None  # a pattern in what is said
    times: list[int] | None = None  # where they are asked for
    duckdb: str | None = None  # a pattern in the sentence that DuckDB gets, where it gets one of its own


def table(delimiter: str, *names: str, rows: Any = None, end: str = "\n", quote: str = "") -> str:
    """PAIRS or `rows` as a table, with a header where names are given."""
    rows = [(*pair, rating, time) for pair, rating, time in zip(PAIRS, RATINGS, TIMES)] if rows is None else rows
    lines = [names, *rows] if names else rows
    return "".join(delimiter.join(f"{quote}{cell}{quote}" for cell in line) + end for line in lines)


def dicts(*names: str, rows: Any) -> str:
    return "".join(json.dumps(dict(zip(names, row)), ensure_ascii=False) + "\n" for row in rows)


def zipped(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


MOVIELENS = ("userId", "movieId", "rating", "timestamp")
BY_USER = {7: [10, 25], 3: [10, 300], 11: [300]}
LISTS = "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in BY_USER.items())
WITH_COUNTS = "".join(f"{len(items)} {' '.join(map(str, items))}\n" for items in ([10, 25], [10, 300], [300]))
OF_LINES = [(0, 10), (0, 25), (1, 10), (1, 300), (2, 300)]
MANY = [(user, 100 + (7 * user + k) % 50) for user in range(100) for k in range(3 + user % 4)]
TRIPLES = [(user, item, 1 + (user * item) % 5) for user, item in MANY]
CSV = table(",", *MOVIELENS)
SECONDS = [1_704_110_400 + (7_919 * n) % 2_500_000 // 60 * 60 for n in range(len(MANY))]  # some of them equal
ARE_TIMES = "which may be times instead of"

CASES: dict[str, Case] = {
    # tables with a header, one delimiter after the other
    "comma": Case(CSV, source="read as CSV with a header: user = userId, item = movieId, rating = rating", times=TIMES),
    "semicolon": Case(table(";", *MOVIELENS), source="semicolon-separated text with a header", times=TIMES),
    "tab": Case(table("\t", *MOVIELENS), source="tab-separated text with a header", times=TIMES),
    "bar": Case(table("|", *MOVIELENS), source="bar-separated", times=TIMES),
    "blank": Case(table(" ", *MOVIELENS), source="blank-separated", times=TIMES),
    "blanks": Case(table("   ", *MOVIELENS), times=TIMES),
    "other columns between": Case(
        table(
            ",",
            "note",
            "timestamp",
            "item_id",
            "x",
            "User ID",
            rows=[("a", t, i, 0, u) for (u, i), t in zip(PAIRS, TIMES)],
        ),
        source="user = User ID, item = item_id, time = timestamp",
        times=TIMES,
    ),
    "all quoted": Case(table(",", *MOVIELENS, quote='"'), times=TIMES),
    "quoted header": Case('"userId","movieId"\n' + table(",", rows=PAIRS)),
    "quoted cells with delimiters, quotes and line ends": Case(
        'user,note,item\n7,"a, ""b""",10\n7,"two\nlines, or\n3",25\n3,,10\n3,"",300\n11,x,300\n'
    ),
    "a bare quote between tabs": Case(
        table(
            "\t", "user", "item", "title", rows=[(*pair, '"Best of' if n == 2 else "x") for n, pair in enumerate(PAIRS)]
        )
    ),
    "one closed and one bare quote between tabs": Case(
        table(
            "\t",
            "user",
            "item",
            "title",
            rows=[(*pair, ['"x"', '"', 'x"', "x", '""'][n]) for n, pair in enumerate(PAIRS)],
        )
    ),
    "a quote that is never closed": Case('user,item,title\n1,2,x\n3,4,"Best of\n5,6,y\n', None, "line 3: a quote is"),
    "a quote that is closed after other rows": Case(
        'user,item,title\n1,2,x\n3,4,"Best of\n5,6,y\n7,8,12"\n9,9,z\n',
        None,
        "line 3: a quote is closed only 2 lines below",
    ),
    "a quote that is closed within its cell": Case(
        'user,item\n1,"2"3\n4,5\n', None, "line 2: a quote is closed before"
    ),
    "ids of text": Case(table(",", "user", "item", rows=[(u, f'"{i}"' if "," in i else i) for u, i in NAMED]), NAMED),
    "leading zeros": Case("user,item\n007,0312\n7,312\n", [("007", "0312"), ("7", "312")]),
    "leading zeros behind 64 KiB": Case("user,item\n" + "1,2\n" * 20_000 + "07,3\n", [("1", 2)] * 20_000 + [("07", 3)]),
    "whole numbers with a point": Case("user,item\n7.0,10\n7.0,25.0\n3.0,10\n3,300\n11,300.0\n"),
    "CR": Case(table(",", *MOVIELENS, end="\r"), times=TIMES),
    "CRLF": Case(table(",", *MOVIELENS, end="\r\n"), times=TIMES),
    "no line end at the end": Case(CSV.rstrip("\n")),
    "byte order mark": Case("\ufeff" + CSV, times=TIMES),
    "UTF-16": Case(
        table(",", "user", "item", rows=[row for row in NAMED if "," not in row[1]]).encode("utf-16"), NAMED[:3]
    ),
    "Latin-1": Case(
        "user,item\njos\xe9,1\n".encode("latin-1"), [("josé", 1)], duckdb="can't be read: .*not utf-8|unicode"
    ),
    "blank lines": Case("\n\n" + CSV.replace("\n", "\n\n")),
    "trailing delimiters": Case(CSV.replace("\n", ",\n")),
    "a cell more at the end of one row": Case(
        CSV.replace("978302109", "978302109,x"),
        None,
        r"line 3: expected 4 columns \(userId,movieId,rating,timestamp\), got 5: '7,25,3.5,978302109,x'",
        duckdb="can't be read: .*Columns",
    ),
    "a number more in one row and one less in another": Case(
        "user,item,rating\n1,2,3,4\n5,6\n7,8,9\n", None, "line 2: expected 3 columns", duckdb="can't be read: .*Columns"
    ),
    "a title with a comma": Case(
        'user,title\n1,"Alien"\n1,Matrix, The\n2,Matrix, Reloaded\n2,Alien\n',
        None,
        r"line 3: expected 2 columns \(user,title\), got 3: '1,Matrix, The'",
        duckdb="can't be read: .*Columns",
    ),
    "titles with blanks between blanks": Case(
        "user item rating\n1 The Matrix 5\n1 Alien 4\n2 The Godfather 5\n2 Alien 3\n",
        None,
        r"line 2: expected 3 columns \(user item rating\), got 4: '1 The Matrix 5'",
    ),
    "titles with blanks between tabs": Case(
        "user\ttitle, original\trating\n1\tAlien, 1979\t5\n1\tHeat, 1995\t4\n2\tHeat, 1995\t5\n",
        None,
        "has the header 'user.ttitle, original.trating', which has no known column of items; pass item=",
    ),
    "titles with blanks between tabs, said": Case(
        "user\ttitle, original\trating\n1\tAlien, 1979\t5\n1\tHeat, 1995\t4\n2\tHeat, 1995\t5\n",
        [(1, "Alien, 1979"), (1, "Heat, 1995"), (2, "Heat, 1995")],
        options={"item": 2},
        source="tab-separated text with a header",
    ),
    "a name of two words between semicolons": Case(
        "user;film title;stars\n7;Heat;5\n3;Alien;4\n", None, "no known column of items; pass item="
    ),
    "commas in a table between blanks": Case(
        "user item note\n7 10 a,b\n3 25 c,d\n3 10 e\n", [(7, 10), (3, 25), (3, 10)], source="blank-separated"
    ),
    "rows one longer than the header": Case(
        "user,item\nx,7,10\ny,7,25\n",
        None,
        r"line 2: expected 2 columns \(user,item\), got 3",
        duckdb="can't be read: .*Columns",
    ),
    "numbers one longer than the header": Case(
        "user,item\n7,10,5\n7,25,5\n",
        None,
        r"line 2: expected 2 columns \(user,item\), got 3",
        duckdb="can't be read: .*Columns",
    ),
    "trailing delimiters at the end of some rows": Case(CSV.replace("978302109\n", "978302109,\n")),
    "trailing tabs": Case(table("\t", *MOVIELENS).replace("\n", "\t\n")),
    "trailing blanks in cells of their own": Case(
        CSV.replace("978302109\n", "978302109, , \n"), duckdb="can't be read: .*Columns"
    ),
    "a cell more before the item": Case("user,title,item\n1,a,2\n1,a,b,3\n", None, "ine:? 3.* ?1,a,b,3"),
    "a number more before the item": Case("user,year,item\n1,0,2\n1,5,6,3\n", None, "ine:? 3.* ?1,5,6,3"),
    "a row too short": Case(
        "user,item\n1,2\n3\n", None, r"line 3: expected 2 columns \(user,item\), got 1: '3'", duckdb="can't be read"
    ),
    "a last column that all rows lack": Case("userId,movieId,rating,timestamp\n7,10,5\n3,25,4\n", [(7, 10), (3, 25)]),
    "R's row names": Case('"user" "item"\n"1" 7 10\n"2" 7 25\n', None, "names 2 columns, but its rows have one more"),
    # well-known headers
    "Retailrocket": Case(
        table(
            ",",
            "timestamp",
            "visitorid",
            "event",
            "itemid",
            rows=[(1000 * t + 5, u, "view", i) for (u, i), t in zip(PAIRS, TIMES)],
        ),
        source="user = visitorid, item = itemid, time = timestamp",
        times=TIMES,
    ),
    "H&M": Case(
        table(",", "t_dat", "customer_id", "article_id", rows=[(iso, u, f"0{i}") for (u, i), iso in zip(PAIRS, ISO)]),
        [(u, f"0{i}") for u, i in PAIRS],
        source="user = customer_id, item = article_id, time = t_dat",
        times=TIMES,
    ),
    "Book-Crossing": Case(
        table(";", "User-ID", "ISBN", "Book-Rating", rows=[(u, f"01953{i}", 5) for u, i in PAIRS], quote='"'),
        [(u, f"01953{i}") for u, i in PAIRS],
        source="user = User-ID, item = ISBN, rating = Book-Rating",
    ),
    "Amazon reviews": Case(
        dicts(
            "reviewerID",
            "asin",
            "overall",
            "unixReviewTime",
            rows=[(f"A{u}", f"B{i}", 5.0, t) for (u, i), t in zip(PAIRS, TIMES)],
        ),
        [(f"A{u}", f"B{i}") for u, i in PAIRS],
        times=TIMES,
    ),
    "asin beside parent_asin": Case(table(",", "asin", "parent_asin", "user_id", rows=[(1, i, u) for u, i in PAIRS])),
    "session beside user": Case(table(",", "session_id", "user_id", "item_id", rows=[(5, *pair) for pair in PAIRS])),
    "RecBole": Case(
        table(
            "\t",
            "user_id:token",
            "item_id:token",
            "timestamp:float",
            rows=[(*p, f"{t}.0") for p, t in zip(PAIRS, TIMES)],
        ),
        times=TIMES,
    ),
    "artist beside track": Case("user,artist,track\n1,2,3\n", None, "the columns 'artist' and 'track', which may both"),
    "two columns of one name": Case("user,user,item\n1,2,3\n", None, "has 2 columns 'user'; rename all but one"),
    "names that are not known": Case("usuario,pelicula,nota\n1,2,3\n4,5,6\n", None, ASK),
    "names that are not known, said": Case(
        table(",", "usuario", "pelicula", rows=PAIRS), options={"user": "usuario", "item": "pelicula"}
    ),
    "no item": Case("user,rating\n1,2\n", None, "which has no known column of items; pass item="),
    "said by number": Case(
        table(",", "a", "b", "c", rows=[(i, 0, u) for u, i in PAIRS]), options={"user": 3, "item": "1"}
    ),
    "said without a header": Case(
        table(",", rows=[(i, "x", u) for u, i in PAIRS]), options={"user": 3, "item": 1, "header": False}
    ),
    "said by a name that is not there": Case(
        CSV, None, "has no column 'who', but 'userId', 'movieId'", {"user": "who"}
    ),
    "a name with an umlaut": Case(
        table("\t", "Nutzer", "Künstler", "Stück", rows=[(*p, n) for n, p in enumerate(PAIRS)]),
        options={"user": "Nutzer", "item": "KÜNSTLER"},
        source="user = Nutzer, item = Künstler; ",
    ),
    "a name with an umlaut, of another form": Case(
        table(";", "Nutzer", "Ku\u0308nstler", rows=PAIRS), options={"user": "Nutzer", "item": "K\u00fcnstler"}
    ),
    "a name in Latin-1": Case(
        table(",", "Nutzer", "Künstler", rows=PAIRS).encode("latin-1"),
        options={"user": "Nutzer", "item": "Künstler"},
        source="item = Künstler; ",
    ),
    "a name in UTF-16": Case(
        table(",", "ユーザー", "映画", rows=PAIRS).encode("utf-16"),
        options={"user": "ユーザー", "item": 2},
        source="user = ユーザー, item = 映画; ",
    ),
    "a name after a byte order mark": Case(
        "\ufeff" + table("|", "Käufer", "Künstler", rows=PAIRS), options={"user": "Käufer", "item": "Künstler"}
    ),
    "a name with an umlaut in JSON": Case(
        dicts("Nutzer", "Künstler", rows=PAIRS),
        options={"user": "Nutzer", "item": "Künstler"},
        source="item = Künstler; ",
    ),
    "no name with an umlaut": Case(
        table(",", "Nutzer", "Künstler", rows=PAIRS),
        None,
        "has no column 'Lied', but 'Nutzer', 'Künstler'",
        {"item": "Lied"},
    ),
    "said by a number too high": Case(CSV, None, "has 4 columns, but item is column 9", {"item": 9}),
    "another delimiter, said": Case(table("~", "user", "item", rows=PAIRS), options={"delimiter": "~"}),
    # times
    "ISO times": Case(
        table(",", "user", "item", "created_at", rows=[(*p, t) for p, t in zip(PAIRS, ISO)]), times=TIMES
    ),
    "ISO times with T and Z": Case(
        table(",", "user", "item", "date", rows=[(*p, t.replace(" ", "T") + "Z") for p, t in zip(PAIRS, ISO)]),
        times=TIMES,
    ),
    "ISO times of a zone, and parts of a second": Case(
        table(
            ",",
            "user",
            "item",
            "time",
            rows=[
                (*p, t.replace("22:", "23:").replace("01-06 23", "01-07 00") + ".25+01:00") for p, t in zip(PAIRS, ISO)
            ],
        ),
        times=TIMES,
    ),
    "microseconds": Case(
        table(",", "user", "item", "ts", rows=[(*p, 10**6 * t) for p, t in zip(PAIRS, TIMES)]), times=TIMES
    ),
    "no time": Case("user,item,time\n1,2,yesterday\n", None, "the time 'yesterday' is", {"time": "time"}),
    "nanoseconds": Case(
        table(",", "user", "item", "ts", rows=[(*p, 10**9 * t) for p, t in zip(PAIRS, TIMES)]), times=TIMES
    ),
    "milliseconds, and a time that is 0": Case(
        table(",", "user", "item", "ts", rows=[(*p, 10**3 * t) for p, t in zip(PAIRS, [0, *TIMES[1:]])]),
        times=[0, *TIMES[1:]],
    ),
    "numbered rows": Case(
        table(",", "user", "item", "time", rows=[(*p, n) for n, p in enumerate(PAIRS, 1)]), times=[1, 2, 3, 4, 5]
    ),
    "seconds and milliseconds": Case(
        "user,item,ts\n1,7,1717992000\n1,8,1726506000000\n2,7,0\n",
        None,
        "the time 1717992000 seems to be in seconds since 1970 and the time 1726506000000 in milliseconds; write all",
        {"time": "ts"},
    ),
    "dates as numbers": Case(
        "user,item,date\n1,7,20240610\n1,8,20231231\n2,7,0\n",
        None,
        "the time 20240610 is not a number of seconds but a date; write 2024-06-10",
        {"time": "date"},
    ),
    "dates and hours as numbers": Case(
        "user,item,date\n1,7,2024061023\n", None, "is not .* but a date; write 2024-06-10 23:00", {"time": "date"}
    ),
    "dates and times as numbers": Case(
        "user;item;ts\n1;ann;20240610120059\n1;bob;20231231000000\n",
        None,
        "the time 20240610120059 is not .* but a date; write 2024-06-10 12:00:59",
        {"time": "ts"},
    ),
    "Excel's day numbers": Case(
        "user,item,date\n1,7,45453.5\n1,8,45000\n",
        None,
        "the times, 45000 to 45453.5, would all be in January 1970 .*; write times like 2024-01-31 10:00:00",
        {"time": "date"},
    ),
    "years": Case(
        "user,item,year\n1,7,1999\n1,8,2023\n", None, "the times, 1999 to 2023, would all be in", {"time": "year"}
    ),
    "points between thousands": Case(
        "user;item;plays\n1;ann;900\n1;bob;1.200\n2;ann;15.000\n",
        None,
        "the weight '1.200' has a point that may separate thousands or decimals; write it without one, or",
        {"weight": "plays"},
    ),
    "points between thousands, all ids numbers": Case(
        "user,item,plays,price\n1,7,900,0.5\n1,8,15.000,1.5\n2,7,1,0.5\n",
        None,
        "the weight '15.000' has a point that may",
        {"weight": "plays"},
    ),
    "points between thousands and a comma": Case(
        "user;item;plays\n1;7;1.200\n1;8;0,5\n", None, "the weight '1.200' has a point", {"weight": "plays"}
    ),
    "two points between thousands": Case(
        "user;item;plays\n1;7;1.234.567\n", None, "the weight '1.234.567' has a point", {"weight": "plays"}
    ),
    "three decimals": Case(
        table(";", "user", "item", "score", rows=[(*p, f"{n}.250") for n, p in enumerate(PAIRS, 1)]),
        options={"weight": "score"},
    ),
    "three decimals, and one that tells": Case(
        "user,item,score\n1,7,1.250\n1,8,2\n1,9,3.5\n",
        [(1, 7), (1, 8), (1, 9)],
        options={"weight": "score"},
    ),
    "three decimals after a zero": Case(
        "user,item,score\n1,7,0.250\n1,8,2\n1,9,3.125\n",
        [(1, 7), (1, 8), (1, 9)],
        options={"weight": "score"},
    ),
    "three decimals of other columns": Case(
        "user,item,plays,price\n1,7,900,1.250\n1,8,15,1.500\n2,7,1,10.000\n",
        [(1, 7), (1, 8), (2, 7)],
        options={"weight": "plays"},
    ),
    "three decimals in JSON": Case(
        dicts("user", "item", "score", rows=[(1, 7, 1.125), (1, 8, 2)]), [(1, 7), (1, 8)], options={"weight": "score"}
    ),
    "a column of likes": Case(
        table(",", "user", "item", "liked", rows=[(*p, t) for p, t in zip(PAIRS, TRUTH)]),
        source=r"rating = liked \(every rating is a like\)",
    ),
    "only what is liked": Case(
        table(";", "user", "item", "is_liked", rows=[(*p, t) for p, t in zip(PAIRS, TRUTH)]),
        [p for p, t in zip(PAIRS, TRUTH) if t.lower() == "true"],
        options={"min_rating": 1},
    ),
    "only what is liked, in JSON": Case(
        dicts("user", "item", "liked", rows=[(*p, t.lower() == "true") for p, t in zip(PAIRS, TRUTH)]),
        [p for p, t in zip(PAIRS, TRUTH) if t.lower() == "true"],
        options={"min_rating": 1},
    ),
    "votes": Case(
        table("\t", "user", "item", "vote", rows=[(*p, n) for p, n in zip(PAIRS, (1, -1, 1, -1, 1))]),
        PAIRS[::2],
        options={"rating": "vote", "min_rating": 0},
    ),
    "a rating besides votes": Case(
        table(",", "user", "item", "votes", "rating", rows=[(*p, 0, r) for p, r in zip(PAIRS, RATINGS)]),
        source=r"rating = rating \(every",
    ),
    "the word like without a header": Case(
        table(",", rows=[(*p, "like") for p in PAIRS]), options={"user": 1, "item": 2}, source="without a header"
    ),
    "true, among times": Case("user,item,ts\n1,7,true\n", None, "the time 'true' is ", {"time": "ts"}),
    "no rating": Case("user,item,stars\n1,7,4/5\n", None, "the rating '4/5' is not a number; ", {"rating": "stars"}),
    "no rating, said": Case(
        "user,item,stars\n1,7,\n", None, "the rating is missing", {"rating": 3}, duckdb="1 missing"
    ),
    "a date among numbers": Case(
        "user,item,ts\n1,7,978302109\n1,8,2024-01-01\n", None, "the time '2024-01-01' is not a number; ", {"time": "ts"}
    ),
    "a rating that is too large": Case(
        "user,item,stars\n1,7,1e16\n", None, r"the rating '1e16' is not a number below 2\*\*53", {"rating": "stars"}
    ),
    # without a header
    "MovieLens' .dat": Case(table("::"), source="separated by ::", times=TIMES),
    "MovieLens' u.data": Case(table("\t"), source="tab-separated text without a header: user = column 1", times=TIMES),
    "triples": Case(table(",", rows=[row[:3] for row in TRIPLES]), MANY),
    "triples between blanks": Case(table(" ", rows=TRIPLES), MANY, source="rating = column 3"),
    "pairs": Case(table(",", rows=PAIRS)),
    "pairs between blanks": Case(table(" ", rows=PAIRS)),
    "ids of text with ratings": Case(
        "A2IB,0005B,5.0,1234567890\nA3,7,1,1234567891\n", [("A2IB", "0005B"), ("A3", "7")]
    ),
    "ids of text alone": Case("ann,heat\nbob,ronin\n", None, ASK),
    "without a header, only the user said": Case(
        table(",", rows=TRIPLES), None, "so user=2 does not tell which columns are .*, both of them", {"user": 2}
    ),
    "without a header, only the user said, where it is": Case(table(",", rows=TRIPLES), MANY, options={"user": 1}),
    "without a header, only the time said": Case(
        table(",", rows=[(*row, t) for row, t in zip(TRIPLES, range(len(TRIPLES)))]),
        MANY,
        options={"time": 4},
        times=list(range(len(MANY))),
    ),
    "without a header, a time where the users are": Case(
        table(",", rows=TRIPLES), None, "so time=1 does not tell which", {"time": 1}
    ),
    "rows that are numbered": Case(
        table(",", rows=[(n, *row) for n, row in enumerate(TRIPLES)]), None, "which may be row numbers instead"
    ),
    "ratings before items": Case(
        table(",", rows=[(user, rating, item) for user, item, rating in TRIPLES]),
        None,
        "which may be ratings instead of items",
    ),
    "times before users and titles": Case(
        "1704110400,17,Alien\n1704286800,18,Heat\n",
        None,
        r"'1704110400' in its first column, which may be times instead of users; pass user= and item= \(--user-column",
    ),
    "times before users and items": Case(
        table(",", rows=[(t, *pair) for pair, t in zip(MANY, SECONDS)]), None, f"first column, {ARE_TIMES} users"
    ),
    "times between users and items": Case(
        table("\t", rows=[(u, t, i) for (u, i), t in zip(MANY, SECONDS)]), None, f"second column, {ARE_TIMES} items"
    ),
    "milliseconds between users and titles": Case(
        table(";", rows=[(u, 1000 * t + u, f"film {i}") for (u, i), t in zip(MANY, SECONDS)]), None, ARE_TIMES
    ),
    "times of 1997 between users and items, with ratings": Case(
        table("::", rows=[(u, t - 830_000_000, i, 5) for (u, i), t in zip(MANY, SECONDS)]), None, ARE_TIMES
    ),
    "a rating where times are expected": Case(
        table("\t", rows=[(*pair, 7, 1 + n % 5) for n, pair in enumerate(MANY)]),
        [pair for n, pair in enumerate(MANY) if n % 5 > 2],
        options={"rating": 4, "min_rating": 4},
        source=r"item = column 2, rating = column 4 \(a like if 4 or higher\); ",
    ),
    "times between users and items of 9 digits": Case(
        table(",", rows=[(u, t, 214_536_500 + i) for (u, i), t in zip(MANY, SECONDS)]), None, ARE_TIMES
    ),
    "items of 10 digits, with times": Case(
        table(",", rows=[(u, 1_200_307_096 + 7_919 * i, 210 + i, t) for (u, i), t in zip(MANY, SECONDS)]),
        [(u, 1_200_307_096 + 7_919 * i) for u, i in MANY],
    ),
    "a tab, and a comma in the first line": Case(
        "u1\tm1\tHello, World\t12\nu1\tm2\tAbba\t30\nu2\tm1\tHello\t4\n",
        [("u1", "Hello, World"), ("u1", "Abba"), ("u2", "Hello")],
        options={"user": 1, "item": 3},
    ),
    "blanks before quotes": Case('"user", "item"\n"u1", "i, 1"\n"u2", "i1"\n', [("u1", "i, 1"), ("u2", "i1")]),
    "a key of likes": Case("like_id,user_id,item_id\n1,7,10\n2,7,11\n", [(7, 10), (7, 11)], source="user = user_id"),
    "a key of likes for ratings": Case(
        "like_id,user_id,item_id\n1,7,10\n2,7,11\n", None, "no known column of ratings", {"min_rating": 1}
    ),
    "likes received": Case(
        "user_id,business_id,likes\n1,10,0\n2,10,3\n", None, "no known column of ratings", {"min_rating": 1}
    ),
    "t and f": Case("user,item,liked\n1,7,t\n1,8,f\n", [(1, 7)], options={"min_rating": 1}),
    "times before users and items, said": Case(
        table(",", rows=[(t, *pair) for pair, t in zip(MANY, SECONDS)]),
        MANY,
        options={"user": 2, "item": 3, "time": 1},
        times=SECONDS,
    ),
    **{
        f"{what}, no times": Case(table(",", rows=rows), [tuple(row[:2]) for row in rows])
        for what, rows in {
            "phone numbers and titles": [(2_015_550_000 + 78_615_443 * u, i, f"film {i}") for u, i in MANY],
            "phone numbers of one like each": [(2_025_550_100 + 910_057 * (7 * n % 41), n, "x") for n in range(40)],
            "phone numbers of 12 digits": [(919_800_000_000 + 7_654_321 * (7 * n % 41), n, "x") for n in range(40)],
            "phone numbers of 11 digits": [(33_612_345_678 + 7_654_321 * (7 * n % 41), n, "x") for n in range(40)],
            "users of 10 digits": [(1_000_000_000 + u, i, f"film {i}") for u, i in MANY],
            "articles of 10 digits": [(u, 1_400_034_000 + 79 * i, f"film {i}") for u, i in MANY],
            "articles of 10 digits with ratings": [(u, 1_400_034_000 + 79 * i, 5, t) for (u, i), t in zip(MANY, TIMES)],
            "articles of 12 digits": [(u, 885_909_950_000 + 791 * i, f"film {i}") for u, i in MANY[:30]],
            "articles of 13 digits": [(u, 4_006_381_333_000 + 791 * i, f"film {i}") for u, i in MANY[:30]],
            "books of 13 digits": [(u, 9_780_195_153_448 + i, f"film {i}") for u, i in MANY[:30]],
            "members of 9 digits": [(99_000_000 + 7_919_000 * (7 * n % 81), n, "x") for n in range(80)],
        }.items()
    },
    "three numbers that may be anything": Case("1,10,20\n2,10,300\n", None, "from the third on they may be items"),
    "a count first, as many in each": Case("2 10 20\n2 10 300\n", None, "the user or the number of items that follow"),
    "parts of numbers for ids": Case("1,3.5\n2,4.5\n", None, "the item id '3.5' is not an integer|" + ASK),
    "a list in a cell": Case('user,item\n1,"[10, 25]"\n2,"[10]"\n', None, "in the column of items .*, which is a list"),
    "times for items": Case("user,item\n1,2024-01-01\n2,2024-01-02\n", None, "which is a time"),
    "times for items, said": Case(
        "user,item\n1,2024-01-01\n2,2024-01-02\n", [(1, "2024-01-01"), (2, "2024-01-02")], options={"item": "item"}
    ),
    # lists
    "lists": Case(LISTS, source="lists, one line per user: user = column 1"),
    "lists between commas": Case(LISTS.replace(" ", ",")),
    "a count first": Case(WITH_COUNTS, OF_LINES, source="begins with the number of items"),
    "a count or a user first": Case(
        "1 10\n2 10 300\n", None, "the number of items that follow; pass user=1, item='2-'"
    ),
    "a count or a user first, said": Case(
        "1 10\n2 10 300\n", [(1, 10), (2, 10), (2, 300)], options={"user": 1, "item": "2-"}
    ),
    "baskets, said": Case("heat,ronin\nheat\n", [(0, "heat"), (0, "ronin"), (1, "heat")], options={"item": "1-"}),
    **{
        f"baskets whose first line begins {first!r}": Case(
            f"{first}\nbread,milk\nmilk,butter\n",
            [(0, first), (1, "bread"), (1, "milk"), (2, "milk"), (2, "butter")],
            options={"item": "1-"},
            source="comma-separated lists, one line per user: user = the line's number from 0",
        )
        for first in ("bread", "rye bread", "rye  bread")
    },
    "baskets between semicolons, one with a comma": Case(
        "Heat\nMatrix, The;Heat\nHeat;Alien\n",
        [(0, "Heat"), (1, "Matrix, The"), (1, "Heat"), (2, "Heat"), (2, "Alien")],
        options={"item": "1-"},
        source="semicolon-separated lists",
    ),
    "baskets of one item each": Case(
        "bread\nmilk\n", [(0, "bread"), (1, "milk")], options={"item": "1-"}, source="blank-separated lists"
    ),
    "baskets of numbers between blanks": Case(
        "1 2 3\n4\n2 5\n",
        [(0, 1), (0, 2), (0, 3), (1, 4), (2, 2), (2, 5)],
        options={"item": "1-"},
        source="blank-separated lists",
    ),
    "baskets between blanks, one with a comma": Case(
        "a b c\nd e\nf g,h\n", None, "',' and ' ' may be the separator; pass delimiter=", {"item": "1-"}
    ),
    "baskets between blanks, one with a comma, said": Case(
        "a b c\nd e\nf g,h\n",
        [(0, "a"), (0, "b"), (0, "c"), (1, "d"), (1, "e"), (2, "f"), (2, "g,h")],
        options={"item": "1-", "delimiter": "blank"},
    ),
    "baskets that commas or semicolons may separate": Case(
        "a,b;c\nd;e,f\n", None, "',' and ';' may be the separator", {"item": "1-"}
    ),
    "a tab after the user, and commas between items": Case(
        "ann\ta,b,c\nbob\tc\n", None, "may be the separator", {"user": 1, "item": "2-"}
    ),
    "titles with commas after tabs": Case(
        "ann\tHeat\tMatrix, The\nbob\tHeat\n",
        [("ann", "Heat"), ("ann", "Matrix, The"), ("bob", "Heat")],
        options={"user": 1, "item": "2-"},
        source="tab-separated lists, one line per user: user = column 1",
    ),
    **{
        f"lists with a header, {how}": Case(
            "\nuser,i1,i2\nann,a,b\nbob,c,b\n",
            [("ann", "a"), ("ann", "b"), ("bob", "c"), ("bob", "b")],
            options={"item": "2-", **options},
            source="comma-separated lists, one line per user after a header: user = column 1, items = column 2",
        )
        for how, options in {
            "said": {"user": 1, "header": True},
            "whose user is named": {"user": "user"},
            "said, whose user is named": {"user": "User", "header": True},
        }.items()
    },
    "baskets with a header": Case(
        "i1;i2\na;b\nb\n", [(0, "a"), (0, "b"), (1, "b")], options={"item": "1-", "header": True}
    ),
    "lists that may have a header": Case(
        "user,i1,i2\nann,a,b\n", None, "'user,i1,i2', which may be a header; pass header=", {"user": 1, "item": "2-"}
    ),
    "lists that begin with a user called user": Case(
        "user,a,b\nann,a\n",
        [("user", "a"), ("user", "b"), ("ann", "a")],
        options={"user": 1, "item": "2-", "header": False},
    ),
    "lists of users with names": Case(
        "anna reader,a,b\nclientela,a\n7,b\n",
        [("anna reader", "a"), ("anna reader", "b"), ("clientela", "a"), ("7", "b")],
        options={"user": 1, "item": "2-"},
    ),
    "lists without the user that is named": Case(
        "who,i1,i2\nann,a,b\n", None, "has no column 'user', but 'who', 'i1', 'i2'", {"user": "user", "item": "2-"}
    ),
    "lists without a header, whose user is named": Case(
        "ann,a,b\n",
        None,
        "has no header that names the column 'user'; pass its number, such as user=1",
        {"user": "user", "item": "2-", "header": False},
    ),
    "lists with a header only": Case("user,i1\n", None, "holds no", {"user": 1, "item": "2-", "header": True}),
    "a user on many lines of a line per user": Case(
        "1 10 20\n2 10\n1 30\n", None, "line 3: the user '1' also has line 1"
    ),
    "a count that is none, far down": Case(
        "".join(f"2 {u} {u + 1}\n3 {u} {u + 1} {u + 2}\n" for u in range(9_000)) + "3 1\n",
        None,
        "line 18,001: '3 1' begins with",
    ),
    "DSSTNE": Case("7\t10:25\n3\t10,5:300,2\n11\t300\n"),
    # JSON
    "JSON lines": Case(
        dicts("user", "item", "time", rows=[(*p, t) for p, t in zip(PAIRS, ISO)]), source="JSON lines", times=TIMES
    ),
    "JSON lines of text": Case(dicts("note", "item", "user", rows=[("[1, 2]", i, u) for u, i in NAMED]), NAMED),
    "JSON lines of other keys": Case('{"who": 1, "item": 2}\n', None, "no known column of users; pass user="),
    "JSON lines of lists": Case(
        '{"user": 1, "item": [2, 3]}\n', None, "item.* '?.2, ?3.'?.* is neither text nor a number"
    ),
    "JSON lines without an id": Case(
        '{"user": 1, "item": 2}\n{"user": 1}\n', None, r"item is missing|items \(item\) has 1 missing value"
    ),
    "a JSON array": Case('[{"user": 1, "item": 2}]\n', None, "JSON must have one object per line"),
    "a JSON document over lines": Case(
        '{\n "user": 1\n}\n', None, "begins like JSON lines, but .* is not a JSON object; write one object per line"
    ),
    # what the rules were not written for
    "a matrix of zeros and ones": Case(
        "0,1,1,0,0,1,0,1,0\n1,0,0,0,1,1,0,0,1\n", None, "has 9 columns and no known header"
    ),
    "pandas' names of columns without names": Case("0,1,2\n7,10,5\n7,25,3\n", None, "names that pandas gives"),
    "SNAP": Case("# Directed graph\n7\t10\n", None, "which looks like a comment"),
    "MatrixMarket": Case("%%MatrixMarket matrix\n3 3 1\n1 2 1\n", None, "which looks like a comment"),
    "Markdown": Case(
        "| user | item |\n|---|---|\n| 1 | 2 |\n", None, "'---'.* is a line between rows|'---'.* which is a"
    ),
    "Netflix": Case("1:\n7,5,2005-09-06\n8,4,2005-09-06\n", None, "begins with '1:'"),
    "Gowalla's check-ins": Case("0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n" * 2, None, "which is a time"),
    "Steam": Case('1,"The Elder Scrolls V, Skyrim",purchase,1.0,0\n1,Fallout 4,play,2.0,0\n', None, ASK),
    "Last.fm 360K": Case("a1f\tb2c\tthe artist\t538\nb1f\tc2c\tthe artist\t53\n", None, ASK),
    "pandas' index": Case(",user,item\n" + table(",", rows=[(n, *pair) for n, pair in enumerate(PAIRS)])),
    "decimal commas": Case(
        table(";", "user", "item", "rating", rows=[(*pair, "3,5") for pair in PAIRS]),
        options={"weight": "rating"},
    ),
    "decimal commas in quotes": Case(
        table(",", "user", "item", "rating", rows=[(*pair, '"3,25"') for pair in PAIRS]), options={"weight": 3}
    ),
    "commas that cannot separate thousands": Case(
        table(";", "user", "item", "rating", rows=[(*PAIRS[0], "1234,125"), *((*pair, "0,125") for pair in PAIRS[1:])]),
        options={"weight": "rating"},
    ),
    "a decimal comma after a tab": Case(
        table(";", "user", "item", "rating", rows=[(*pair, "\t3,5") for pair in PAIRS]),
        options={"weight": "rating"},
    ),
    "commas that may separate thousands": Case(
        "user;item;plays\n1;2;3,5\n1;3;1,000\n",
        None,
        "the weight '1,000' has a comma that may separate thousands or decimals; write it without one",
        {"weight": "plays"},
    ),
    "decimal commas without a header": Case(
        table(";", rows=[(*pair, "3,5") for pair in PAIRS]), source="rating = column 3"
    ),
    "dicts as Python prints them": Case(
        "{'user': 1, 'item': 2}\n", None, "begins like JSON lines, but .* is not a JSON object"
    ),
    # what is missing, and what is not
    "ids of NA": Case("user,item\nNA,ann\n2,na\n2,NA\n", [("NA", "ann"), ("2", "na"), ("2", "NA")]),
    **{
        f"an id of {text!r}": Case(f"user,item\n1,ann\n2,{text}\n", None, "item id.* is missing|has 1 missing value")
        for text in ("", "nan", "None", "NULL", "<NA>")
    },
    # compressed, and in archives
    "gzip": Case(gzip.compress(CSV.encode()), times=TIMES),
    "gzip of UTF-16": Case(gzip.compress(CSV.encode("utf-16")), times=TIMES),
    "gzip with a byte order mark and no header": Case(gzip.compress(table(",", rows=PAIRS).encode("utf-8-sig"))),
    "bzip2": Case(bz2.compress(CSV.encode()), times=TIMES),
    "xz": Case(lzma.compress(CSV.encode()), times=TIMES),
    "xz twice": Case(lzma.compress(CSV[:50].encode()) + lzma.compress(CSV[50:].encode())),
    "xz cut off": Case(lzma.compress(CSV.encode())[:-20], None, "damaged or cut off"),
    "one table of a zip": Case(zipped(**{"a.csv": CSV})),
    # what is something else
    "two tables of a zip": Case(zipped(**{"a.csv": CSV, "b.csv": CSV}), None, "pass the path of one, such as .*a.csv"),
    "an .xlsx": Case(zipped(**{"[Content_Types].xml": "x", "xl/workbook.xml": "x"}), None, "is an Excel workbook"),
    "a Git LFS pointer": Case(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", None, "is a Git LFS pointer"
    ),
    "HTML": Case("\n<!DOCTYPE html>\n<html><body>Log in</body></html>\n", None, r"is a web page \(HTML\)"),
    "XML": Case("<?xml version='1.0'?><a/>\n", None, "is XML"),
    "a pickle": Case(b"\x80\x04\x95\0", None, "is a pickle, which may run code"),
    "SQLite": Case(b"SQLite format 3\0rest", None, "is an SQLite database"),
    "prose": Case(
        "Likes of ours, with love.\nWe asked many people, and some answered\n", None, "begins with 'Likes of ours"
    ),
}
