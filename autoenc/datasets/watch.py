"""What passes np.loadtxt without a word, though it means something else: seen in the bytes as they pass it."""

from __future__ import annotations

import re

import numpy as np

from autoenc.datasets.layout import Table

AT_ONCE = 2**17
"""Bytes that are looked at together: as many as stay in the processor's cache."""


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
        self._chunks: list[bytes] = []
        self._n_bytes = 0
        bounds = self._delimiter + b"\r\n"
        self._is_bound = np.zeros(256, bool)  # by byte: whether it ends a cell
        self._is_bound[list(bounds)] = True
        self.n_delimiters = 0

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
            self.n_delimiters += int(np.count_nonzero(codes == ord(self._delimiter)))
            if b"+" in lines:
                raise Watch.Suspicion("a plus")
            self._check_zeros(codes, [b for b in (self._delimiter, b"\n", b"\r", b'"', b" ") if b in lines])

    def _check_zeros(self, codes: np.ndarray, before: list[bytes]) -> None:
        """Look for a zero between one of the bytes `before` and a digit, two bytes at a time."""
        for odd in (0, 1):
            pairs = codes[odd : odd + (len(codes) - odd) // 2 * 2].view("<u2")
            for byte in before:
                at = 2 * np.flatnonzero(pairs == int.from_bytes(byte + b"0", "little")) + odd
                if byte == b" ":  # only after a delimiter, where it does not belong to the id
                    at = at[self._is_bound[codes[at - 1]]]
                after = codes[at + 2]
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
