"""gzip put together from parts that were compressed before and parts that are one viewer's own.

A part that many share is compressed once and ends on a byte (a full flush), so that it can stand in any stream, or,
where it was told what stands before it, behind just that. What is one viewer's own goes in as it is, uncompressed:
it costs no time, and what is secret in it is never compressed beside words that somebody else chose (BREACH). The
format is RFC 1951 and RFC 1952.
"""

import struct
import zlib
from array import array
from collections.abc import Iterable
from zlib import crc32

Piece = "Segment | bytes"

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""gzip, deflate, no name, no time, an unknown system."""

SHORT = 2_000
"""Bytes that are counted through faster than their checksum is moved."""

LAST_BLOCK = b"\x03\x00"
"""An empty block that says that it is the last one."""

LEVEL = 5
"""Of nine: in parts, it makes a page as small as 4 did in one piece; 6 takes a third longer for 2 % fewer bytes."""

WINDOW = 32_768
"""How far back deflate refers."""

BLOCK = struct.Struct("<BHH")
"""What stands before bytes as they are: not the last block, its length, and the length's complement."""

MOST_STORED = 65_535
"""Bytes that one uncompressed block holds."""

POLYNOMIAL = 0xEDB88320
"""Of CRC-32, the bits turned round, as gzip counts them."""

ONE = 1 << 31
"""x to the power of 0, its bits turned round like the polynomial's."""


class Segment:
    """Bytes that many pages share, compressed, with what it takes to go on counting the checksum behind them."""

    __slots__ = ("_crc", "_power", "_raw", "_table", "deflated", "length")

    def __init__(self, raw: bytes, before: bytes = b"") -> None:
        """Compress bytes; with `before`, what stands right before them wherever they are put, to refer back to it."""
        self.length = len(raw)
        self.deflated = _deflate(raw, before[-WINDOW:])
        self._raw = raw if len(raw) <= SHORT else b""
        self._crc = crc32(raw)
        self._power = _power(len(raw))
        self._table: array[int] | None = None

    @classmethod
    def joined(cls, pieces: "Iterable[Segment | bytes]") -> "Segment":
        """Return pieces that follow each other as one, without compressing anything."""
        pieces = list(pieces)
        if len(pieces) == 1 and isinstance(pieces[0], Segment):
            return pieces[0]
        one, power = cls.__new__(cls), ONE
        out: list[bytes] = []
        one._crc, one.length = _stitch(pieces, out)
        for piece in pieces:
            if isinstance(piece, Segment):
                power = piece.checksum_after(power) ^ piece._crc
            else:
                power = crc32(piece, power) ^ crc32(piece)
        one.deflated, one._raw, one._power, one._table = b"".join(out), b"", power, None
        return one

    def checksum_after(self, crc: int) -> int:
        """Return the CRC-32 of what had `crc` with these bytes behind it; long ones are not looked at again for it."""
        table = self._table
        if table is None:
            if self._raw:
                return crc32(self._raw, crc)
            if not crc:
                return self._crc
            table = self._table = _table(self._power)
        return (
            self._crc
            ^ table[crc & 15]
            ^ table[16 + (crc >> 4 & 15)]
            ^ table[32 + (crc >> 8 & 15)]
            ^ table[48 + (crc >> 12 & 15)]
            ^ table[64 + (crc >> 16 & 15)]
            ^ table[80 + (crc >> 20 & 15)]
            ^ table[96 + (crc >> 24 & 15)]
            ^ table[112 + (crc >> 28)]
        )


def gzip_of(pieces: "Iterable[Segment | bytes]") -> bytes:
    """Return one gzip file of all pieces: segments as they are, bytes uncompressed between them."""
    out = [HEADER]
    crc, length = _stitch(pieces, out)
    out.append(LAST_BLOCK + struct.pack("<II", crc, length & 0xFFFFFFFF))
    return b"".join(out)


def _stitch(pieces: "Iterable[Segment | bytes]", out: list[bytes]) -> tuple[int, int]:
    """Add pieces to a stream; return the checksum and the length of what they unpack to."""
    crc = length = 0
    for piece in pieces:
        if isinstance(piece, Segment):
            out.append(piece.deflated)
            crc = piece.checksum_after(crc)
            length += piece.length
        elif piece:
            _store(piece, out)
            crc = crc32(piece, crc)
            length += len(piece)
    return crc, length


def _deflate(raw: bytes, before: bytes) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return stream.compress(raw) + stream.flush(zlib.Z_FULL_FLUSH)


def _store(raw: bytes, out: list[bytes]) -> None:
    """Add bytes as they are, in blocks of which each says how long it is."""
    if len(raw) <= MOST_STORED:
        out += (BLOCK.pack(0, len(raw), len(raw) ^ MOST_STORED), raw)
    else:
        for start in range(0, len(raw), MOST_STORED):
            _store(raw[start : start + MOST_STORED], out)


def _power(length: int) -> int:
    """Return what a checksum of one bit, x to the power of 0, becomes with so many bytes behind it.

    A checksum is a remainder of polynomials over two elements. Bytes behind it multiply it by a power of x, and add
    something that depends on them alone: what zeros make of two checksums differs by the product of the difference.
    """
    zeros = bytes(length)
    return crc32(zeros, ONE) ^ crc32(zeros, 0)


def _table(power: int) -> "array[int]":
    """Return, for each four bits of a checksum, what their 16 values become when it is multiplied by a power of x."""
    shifted = [power]
    for _ in range(31):
        shifted.append(_times_x(shifted[-1]))
    shifted.reverse()
    table = array("I")
    for start in range(0, 32, 4):
        values = [0]
        for bit in shifted[start : start + 4]:
            values += [bit ^ value for value in values]
        table.extend(values)
    return table


def _times_x(one: int) -> int:
    return (one >> 1) ^ POLYNOMIAL if one & 1 else one >> 1
