"""Protobuf and snappy by hand, as far as remote writes and pages of the tests need them."""
import struct


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    """A string, bytes or message."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def snappy(raw):
    """One literal."""
    return varint(len(raw)) + b'\xfc' + struct.pack('<I', len(raw) - 1) + raw
