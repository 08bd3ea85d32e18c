"""The API's operations: one table, used to read requests and to write the description."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from autoenc import __version__

MOST_LIKES = 500
MOST_ITEMS = 100
LONGEST_TEXT = 200
MOST_SEED = 2**31 - 1
LONGEST_QUERY = 32 * 1024
"""Longest query in bytes, enough for the largest number of likes."""


@dataclass(frozen=True)
class Parameter:
    """A query parameter; `schema` is its JSON schema, of which `read` supports the parts used below."""

    name: str
    description: str
    schema: dict[str, Any]
    required: bool = False

    def read(self, texts: list[str]) -> Any:
        """The value of the texts given in the query. Raises ValueError if they are invalid."""
        if self.schema["type"] == "array":
            if len(texts) > self.schema["maxItems"]:
                raise ValueError(
                    f"{self.name} is given {len(texts):,} times; at most {self.schema['maxItems']} are allowed."
                )
            if self.required and not texts:
                raise ValueError(f"{self.name} is missing: {self.description}")
            return [self._one(self.schema["items"], text) for text in texts]
        if len(texts) > 1:
            raise ValueError(f"{self.name} is given {len(texts)} times; pass it once.")
        if texts:
            return self._one(self.schema, texts[0])
        if self.required:
            raise ValueError(f"{self.name} is missing: {self.description}")
        return self.schema.get("default")

    def _one(self, schema: dict[str, Any], text: str) -> Any:
        if schema["type"] == "integer":
            low, high = schema["minimum"], schema["maximum"]
            if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
                raise ValueError(f"{self.name} is {text[:40]!r}; pass a whole number from {low} to {high}.")
            return int(text)
        if schema["type"] == "boolean":
            if text not in ("true", "false"):
                raise ValueError(f"{self.name} is {text[:40]!r}; pass true or false.")
            return text == "true"
        shortest = schema.get("minLength", 0)
        if not shortest <= len(text) <= schema["maxLength"]:
            raise ValueError(
                f"{self.name} has {len(text):,} characters; it may have {shortest} to {schema['maxLength']}."
            )
        return text


@dataclass(frozen=True)
class Operation:
    """GET `path` calls the method `answer` of Answers with the parameters as arguments."""

    path: str
    answer: str
    summary: str
    parameters: tuple[Parameter, ...]
    response: dict[str, Any]

    def read(self, query: bytes) -> dict[str, Any]:
        """The arguments in a query string. Raises ValueError with one sentence."""
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        except UnicodeError:
            raise ValueError("the query is not UTF-8; encode it as UTF-8.") from None
        known = [parameter.name for parameter in self.parameters]
        for name, _ in pairs:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise ValueError(f"{self.path} has no parameter {name[:40]!r}; {takes}.")
        return {p.name: p.read([text for name, text in pairs if name == p.name]) for p in self.parameters}


def integer(low: int, high: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def fields(**properties: Any) -> dict[str, Any]:
    """The schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def listed(schema: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": schema} | ({} if most is None else {"maxItems": most})


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
NAME = {"type": "string", "format": "item", "minLength": 1, "maxLength": LONGEST_TEXT}
ITEM = {"id": TEXT, "title": TEXT}

LIKE = Parameter("like", "id or title of a liked item; repeat for each like.", listed(NAME, MOST_LIKES))
LIKE_OR_MORE = Parameter(LIKE.name, LIKE.description, LIKE.schema | {"minItems": 1}, required=True)
ONE_ITEM = Parameter("item", "id or title of an item.", NAME, required=True)
N = Parameter("n", "number of items.", integer(1, MOST_ITEMS, 10))

STRIP = fields(
    name=TEXT,
    layer=TEXT,
    shape=listed({"type": "integer"}),
    params={"type": "object", "additionalProperties": listed({"type": "integer"})},
    values=listed(NUMBER),
    module=TEXT,
    forward=TEXT,
    backward=TEXT,
    forward_code=TEXT,
    backward_code=TEXT,
)
STRIP["properties"] |= {  # optional
    "change": listed(NUMBER),
    "dropped": listed({"type": "integer"}),
    "statistics": {"type": "object", "additionalProperties": listed(NUMBER)},
}
TRUTH = {"type": "boolean"}
RANKED = fields(**ITEM, score=NUMBER, by_popularity=TRUTH)  # whether it is recommended only for its popularity
RECOMMENDED = fields(**ITEM, score=NUMBER, by_popularity=TRUTH)
RECOMMENDED["properties"] |= {"contributions": listed(NUMBER), "liked_by": NUMBER, "liked_by_likers": listed(NUMBER)}
AT_WORK = fields(
    model=TEXT,
    likes=listed(fields(**ITEM)),
    mode={"enum": ["evaluation", "training"]},
    batch=TEXT,
    strips=listed(STRIP),
    highest=listed(fields(**ITEM, value=NUMBER)),
)
AT_WORK["properties"] |= {"rises": listed(fields(**ITEM, value=NUMBER)), "falls": listed(fields(**ITEM, value=NUMBER))}

OPERATIONS = (
    Operation(
        "/api/health",
        "health",
        "Whether the server is running, and which model it serves",
        (),
        fields(
            status={"const": "ok"},
            model=TEXT,
            dataset=TEXT,
            n_items={"type": "integer"},
            network=TRUTH,
            behind_popularity=TRUTH,  # on its own held-out likes, if its file says so
            autoenc=TEXT,
        ),
    ),
    Operation(
        "/api/items",
        "items",
        "Find items by title; without words, the most liked items",
        (
            Parameter(
                "search", "words of a title, or their beginnings.", TEXT | {"maxLength": LONGEST_TEXT, "default": ""}
            ),
            N,
        ),
        fields(items=listed(fields(**ITEM))),
    ),
    Operation(
        "/api/titles",
        "titles",
        "The titles of all items, in the order of the network's output",
        (),
        fields(titles=listed(TEXT)),
    ),
    Operation(
        "/api/starters",
        "starters",
        "Well-known, dissimilar items to start with, and what is recommended to a user who likes only one of them",
        (N,),
        fields(starters=listed(fields(**ITEM, brings=listed(fields(**ITEM))))),
    ),
    Operation(
        "/api/recommend",
        "recommend",
        "The best items for a user with these likes, and the scale of the scores: the median of all and the best",
        (
            LIKE,
            N,
            Parameter(
                "explain",
                "whether to add the amounts that each item's score would lose without each of the likes and, if the "
                "training users are known, the shares of all of them and of those with each of the likes who like it.",
                {"type": "boolean", "default": False},
            ),
            Parameter(
                "exclude", "id or title of an item to leave out; repeat for each item.", listed(NAME, MOST_LIKES)
            ),
        ),
        fields(
            likes=listed(fields(**ITEM)),
            recommended=listed(RECOMMENDED),
            scale=fields(zero=NUMBER, full=NUMBER),
        ),
    ),
    Operation(
        "/api/explain",
        "explain",
        "The exact amounts that an item's score would lose without each like, left out one at a time",
        (LIKE_OR_MORE, ONE_ITEM),
        fields(item=fields(**ITEM, score=NUMBER), is_liked=TRUTH, because=listed(fields(**ITEM, contribution=NUMBER))),
    ),
    Operation(
        "/api/similar",
        "similar",
        "The most similar items: those recommended to a user who likes only this item",
        (ONE_ITEM, N),
        fields(item=fields(**ITEM), similar=listed(RANKED)),
    ),
    Operation(
        "/api/network",
        "network_at_work",
        "The output of every layer of the network for these likes",
        (
            LIKE,
            Parameter("without", "one of the likes; adds the changes if it is left out.", NAME),
            Parameter(
                "training",
                "whether to use dropout and the batch's statistics, as in training.",
                {"type": "boolean", "default": False},
            ),
            Parameter("seed", "seed of the randomness in training.", integer(0, MOST_SEED, 0)),
        ),
        AT_WORK,
    ),
)


def openapi(examples: Iterable[str]) -> dict[str, Any]:
    """The API's OpenAPI description; `examples` are existing ids."""
    error = {"description": "One sentence.", "content": {"application/json": {"schema": fields(error=TEXT)}}}
    ids = list(examples)

    def parameter(p: Parameter) -> dict[str, Any]:
        shown = {"name": p.name, "in": "query", "description": p.description, "required": p.required}
        if p.schema is NAME:
            shown["example"] = ids[0]
        elif p in (LIKE, LIKE_OR_MORE):
            shown["example"] = ids
        return shown | {"schema": p.schema}

    def operation(o: Operation) -> dict[str, Any]:
        ok = {"description": o.summary, "content": {"application/json": {"schema": o.response}}}
        return {
            "operationId": o.answer,
            "summary": o.summary,
            "parameters": [parameter(p) for p in o.parameters],
            "responses": {"200": ok, "400": error, "404": error, "default": error},
        }

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "autoenc",
            "version": __version__,
            "description": "A recommender's answers. Each request is a GET without a body, each error one sentence. "
            "An item is named by its id or its full title; if it doesn't exist, the error suggests similar titles.",
        },
        "paths": {o.path: {"get": operation(o)} for o in OPERATIONS},
    }
