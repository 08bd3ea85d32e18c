"""What passes np.loadtxt without a word, though it means something else: seen in the bytes as they pass it."""

from __future__ import annotations

import re

import numpy as np

from autoenc.datasets.layout import Table


class Watch:
    """A table's bytes, chunk after chunk. It raises Suspicion at what takes a reader that looks at each cell.

    That is a quote that isn't one of two around a cell of one line, since more rows may be behind it; and with
    `numbers` an id with a leading zero, which it keeps, or a plus.

    Attributes
    ----------
    n_delimiters : int
        How many there are in the rows, where a cell is quoted those in it too.
    """

    class Suspicion(ValueError):
        """Something that means more than it seems to."""

    def __init__(self, table: Table, numbers: bool = True):
        self._numbers = numbers
        self._delimiter = table.delimiter[0].encode()
        self._n_to_skip = table.skip
        self._carried = b""
        bounds = self._delimiter + b"\r\n"
        self._is_bound = np.zeros(256, bool)  # by byte: whether it ends a cell
        self._is_bound[list(bounds)] = True
        self._is_before_id = self._is_bound.copy()
        self._is_before_id[ord('"')] = True
        self.n_delimiters = 0

    def __call__(self, chunk: bytes) -> None:
        if self._n_to_skip:
            self._carried += chunk
            parts = re.split(rb"\r\n|\r|\n", self._carried, maxsplit=self._n_to_skip)
            if len(parts) <= self._n_to_skip:
                return
            chunk, self._carried, self._n_to_skip = parts[-1], b"", 0
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1 if chunk else None  # no chunk is the end
        if end == 0:
            self._carried += chunk
            return
        self._look_at(self._carried + chunk[:end])
        self._carried = chunk[end:] if chunk else b""

    def _look_at(self, lines: bytes) -> None:
        has_quotes = b'"' in lines
        if not (has_quotes or self._numbers):
            return
        codes = np.frombuffer(b"\n" + lines + b"\n", np.uint8)
        if has_quotes:
            self._check_quotes(codes)
        if self._numbers:
            self.n_delimiters += lines.count(self._delimiter)
            if b"+" in lines:
                raise Watch.Suspicion("a plus")
            self._check_zeros(codes, has_blanks=b" " in lines)

    def _check_zeros(self, codes: np.ndarray, has_blanks: bool) -> None:
        zeros = np.flatnonzero(codes == ord("0"))
        before = codes[zeros - 1]
        if has_blanks:  # one behind a delimiter is no part of an id
            before = np.where(before == ord(" "), codes[zeros - 2], before)
        after = codes[zeros[self._is_before_id[before]] + 1]
        if ((after >= ord("0")) & (after <= ord("9"))).any():
            raise Watch.Suspicion("a leading zero")

    def _check_quotes(self, codes: np.ndarray) -> None:
        quotes = np.flatnonzero(codes == ord('"'))
        opening, closing = quotes[0::2], quotes[1::2]
        ends = np.flatnonzero((codes == ord("\n")) | (codes == ord("\r")))
        is_sound = (
            len(opening) == len(closing)
            and self._is_bound[codes[opening - 1]].all()
            and self._is_bound[codes[closing + 1]].all()
            and np.array_equal(np.searchsorted(ends, opening), np.searchsorted(ends, closing))
        )
        if not is_sound:
            raise Watch.Suspicion("a quote")
