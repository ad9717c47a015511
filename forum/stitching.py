"""gzip put together from parts that were compressed before and parts that are one viewer's own.

A part that many share is compressed once, by itself, and ends on a byte (a full flush), so that it can stand in any
stream. What is one viewer's own goes in as it is, uncompressed: it costs no time, and what is secret in it is never
compressed beside words that somebody else chose (BREACH). The format is RFC 1951 and RFC 1952.
"""

import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from zlib import crc32

Piece = "Segment | bytes"

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""gzip, deflate, no name, no time, an unknown system."""

SHORT = 2_000
"""Bytes that are counted through faster than their checksum is moved."""

LAST_BLOCK = b"\x03\x00"
"""An empty block that says that it is the last one."""

LEVEL = 4
"""Of nine: 6 takes nearly twice as long for 6 % fewer bytes, and readers wait for it whenever somebody comments."""

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

    __slots__ = ("_crc", "_raw", "_table", "deflated", "length")

    def __init__(self, raw: bytes) -> None:
        self.length = len(raw)
        self.deflated = _deflate(raw)
        self._raw = raw if len(raw) <= SHORT else b""
        self._crc = crc32(raw)
        self._table = _table(_shifted_bits(len(raw))) if len(raw) > SHORT else None

    def checksum_after(self, crc: int) -> int:
        """Return the CRC-32 of what had `crc` with these bytes behind it; long ones are not looked at again for it."""
        table = self._table
        if table is None:
            return crc32(self._raw, crc)
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
    out, crc, length = [HEADER], 0, 0
    for piece in pieces:
        if isinstance(piece, Segment):
            out.append(piece.deflated)
            crc = piece.checksum_after(crc)
            length += piece.length
        elif piece:
            _store(piece, out)
            crc = crc32(piece, crc)
            length += len(piece)
    out.append(LAST_BLOCK + struct.pack("<II", crc, length & 0xFFFFFFFF))
    return b"".join(out)


def compressed(raw: bytes) -> bytes:
    """Return a gzip file of bytes that are compressed in one piece."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush()


def _deflate(raw: bytes) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush(zlib.Z_FULL_FLUSH)


def _store(raw: bytes, out: list[bytes]) -> None:
    """Add bytes as they are, in blocks of which each says how long it is."""
    if len(raw) <= MOST_STORED:
        out += (BLOCK.pack(0, len(raw), len(raw) ^ MOST_STORED), raw)
    else:
        for start in range(0, len(raw), MOST_STORED):
            _store(raw[start : start + MOST_STORED], out)


def _shifted_bits(length: int) -> list[int]:
    """Return what each bit of a checksum, the lowest first, becomes with so many bytes behind it.

    A checksum is a remainder of polynomials over two elements; a byte behind multiplies it by x to the power of 8.
    """
    shifted = [_power(8 * length)]
    for _ in range(31):
        shifted.append(_times_x(shifted[-1]))
    return shifted[::-1]


def _table(shifted: Sequence[int]) -> "array[int]":
    """Return, for each four bits of a checksum, what their 16 values become, one after the other."""
    table = array("I")
    for start in range(0, 32, 4):
        values = [0]
        for bit in shifted[start : start + 4]:
            values += [bit ^ value for value in values]
        table.extend(values)
    return table


def _power(exponent: int) -> int:
    """Return x to a power, modulo the polynomial."""
    result, square = ONE, ONE >> 1
    while exponent:
        if exponent & 1:
            result = _times(result, square)
        square = _times(square, square)
        exponent >>= 1
    return result


def _times(one: int, other: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = _times_x(other)
    return product


def _times_x(one: int) -> int:
    return (one >> 1) ^ POLYNOMIAL if one & 1 else one >> 1
