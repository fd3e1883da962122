"""Snapshot files taken apart and put together again, as docs/snapshot-format.md says."""

from __future__ import annotations

from zlib import crc32


def records(data: bytes) -> list[bytes]:
    """Cut a snapshot into its header and its records."""
    pieces, at = [data[:12]], 12
    while at < len(data):
        end = at + 13 + int.from_bytes(data[at + 1 : at + 9], "little")
        pieces.append(data[at:end])
        at = end
    return pieces


def joined(pieces: list[bytes]) -> bytes:
    """Put records together under an end record that fits them."""
    body = b"".join(pieces)
    things = sum(piece[:1] in (b"E", b"F", b"O") for piece in pieces[1:])
    end = things.to_bytes(8, "little") + crc32(body).to_bytes(4, "little")
    head = b"Z" + len(end).to_bytes(8, "little")
    return body + head + crc32(head + end).to_bytes(4, "little") + end


def again(record: bytes) -> bytes:
    """Give a record the checksum that fits it."""
    return record[:9] + crc32(record[13:], crc32(record[:9])).to_bytes(4, "little") + record[13:]
