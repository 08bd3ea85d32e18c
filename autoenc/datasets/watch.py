"""Detect in the bytes read by np.loadtxt what it would silently misread."""

from __future__ import annotations

import re

import numpy as np

from autoenc.datasets.layout import Table

AT_ONCE = 2**17
"""Number of bytes to examine at a time: as many as fit into the processor's cache."""


class Watch:
    """Examines a table's bytes chunk by chunk, and raises Suspicion if cells must be parsed one by one.

    This is the case for a quote that isn't one of a pair around a cell on a single line, as it may swallow rows; and,
    with `numbers`, for an id with a leading zero, which must be kept, a plus sign, or a row with too many or too few
    cells, or with a delimiter in a quoted cell: np.loadtxt ignores surplus cells.

    Attributes
    ----------
    has_grouped : bool
        Whether some number may have a point between thousands, if `points` are examined.
    """

    class Suspicion(ValueError):
        """Bytes that np.loadtxt would misread."""

    def __init__(self, table: Table, numbers: bool = True, points: bool = False):
        self._numbers = numbers
        self._delimiter = table.delimiter[0].encode()
        self._n_to_skip = table.skip
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        bounds = self._delimiter + b"\r\n"
        self._is_bound = np.zeros(256, bool)  # by byte: whether it ends a cell
        self._is_bound[list(bounds)] = True
        self._is_digit = np.zeros(256, bool)
        self._is_digit[list(b"0123456789")] = True
        self._points = points
        self.has_grouped = False
        self._n_per_row = (table.n_columns - 1) * len(table.delimiter)

    def __call__(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._n_bytes += len(chunk)
        is_end = not chunk
        if self._n_bytes < AT_ONCE and not is_end:
            return
        seen = b"".join(self._chunks)
        if self._n_to_skip:
            parts = re.split(rb"\r\n|\r|\n", seen, maxsplit=self._n_to_skip)
            if len(parts) > self._n_to_skip:
                seen, self._n_to_skip = parts[-1], 0
        end = len(seen) if is_end else max(seen.rfind(b"\n"), seen.rfind(b"\r")) + 1
        if not self._n_to_skip:
            self._look_at(seen[:end])
            seen = seen[end:]
        self._chunks, self._n_bytes = [seen], 0

    def _look_at(self, lines: bytes) -> None:
        has_quotes = b'"' in lines
        if not (has_quotes or self._numbers):
            return
        lines = b"\n" + lines + b"\n"
        codes = np.frombuffer(lines, np.uint8)
        if has_quotes:
            self._check_quotes(codes)
        if self._numbers:
            self._check_widths(codes)
            if b"+" in lines:
                raise Watch.Suspicion("a plus")
            if self._points and not self.has_grouped and b"." in lines:
                self.has_grouped = self._has_thousands(codes)
            self._check_zeros(codes, [b for b in (self._delimiter, b"\n", b"\r", b'"', b" ") if b in lines])

    def _check_widths(self, codes: np.ndarray) -> None:
        ends = np.flatnonzero((codes == ord("\n")) | (codes == ord("\r")))
        ends = ends[np.diff(ends, append=len(codes) + 1) > 1]  # one of CRLF, and of those around blank lines
        at, n = np.flatnonzero(codes == ord(self._delimiter)), self._n_per_row
        is_even = len(at) == n * (len(ends) - 1)
        if not is_even or (at[::n] < ends[:-1]).any() or (at[n - 1 :: n] > ends[1:]).any():
            raise Watch.Suspicion("rows of different widths")

    def _check_zeros(self, codes: np.ndarray, before: list[bytes]) -> None:
        """Look for a zero between one of the bytes `before` and a digit, two bytes at a time."""
        for odd in (0, 1):
            pairs = codes[odd : odd + (len(codes) - odd) // 2 * 2].view("<u2")
            for byte in before:
                at = 2 * np.flatnonzero(pairs == int.from_bytes(byte + b"0", "little")) + odd
                if byte == b" ":  # only after a delimiter, where it is not part of the id
                    at = at[self._is_bound[codes[at - 1]]]
                after = codes[at + 2]
                if ((after >= ord("0")) & (after <= ord("9"))).any():
                    raise Watch.Suspicion("a leading zero")

    def _has_thousands(self, codes: np.ndarray) -> bool:
        """Whether some point stands after one to three digits and before exactly three."""
        points = np.flatnonzero(codes[:-4] == ord("."))
        for offset, is_digit in ((2, True), (3, True), (4, False), (1, True), (-1, True)):  # in 3.5 the first decides
            points = points[self._is_digit[codes[points + offset]] == is_digit]
        is_long = np.ones(len(points), bool)
        for offset in (-2, -3, -4):
            is_long &= self._is_digit[codes[np.maximum(points + offset, 0)]]
        return not is_long.all()

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
