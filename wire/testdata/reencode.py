"""Read golden vectors with python3-msgpack and write them again.

For each vector: unpack its frame, check it against the JSON beside it, pack it
again and print the whole frame in hexadecimal digits, and the vector's name.
"""

import json
import struct
import sys

import msgpack


def plain(value):
    """Return value as the JSON shows it: a lease id or digest as its text."""
    if isinstance(value, bytes) and len(value) == 8:
        return value.hex()
    if isinstance(value, bytes):
        return "%x-%x-%x" % struct.unpack(">IIQ", value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def main(path):
    with open(path, encoding="utf-8") as f:
        blocks = f.read().strip().split("\n\n")
    for block in blocks:
        name, description, digits = block.split("\n")
        data = bytes.fromhex(digits)
        (length,) = struct.unpack(">I", data[:4])
        if length != len(data) - 4:
            sys.exit(f"{name}: the length is {length}, the frame has {len(data) - 4} bytes")
        values = msgpack.unpackb(data[4:])
        fields = list(json.loads(description).values())
        if plain(values[1:]) != fields[1:]:
            sys.exit(f"{name}: {plain(values[1:])} is not {fields[1:]}")
        again = msgpack.packb(values)
        print((struct.pack(">I", len(again)) + again).hex(), name)


if __name__ == "__main__":
    main(sys.argv[1])
