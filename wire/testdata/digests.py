"""Read the digest vectors and compute each digest again, by the document.

A vector is a line: the digest of a worker in hexadecimal digits, and the ids
of the leases that run there.
"""

import sys

BITS = (1 << 64) - 1


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & BITS
    x = (x ^ x >> 27) * 0x94D049BB133111EB & BITS
    return x ^ x >> 31


def digest(text):
    epoch, instance, counter = (int(part, 16) for part in text.split("-"))
    grantor = (epoch << 32 | instance) + 0x9E3779B97F4A7C15
    return mix(mix(grantor & BITS) + counter & BITS)


def main(path):
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    for line in lines:
        want, *leases = line.split()
        got = 0
        for lease in leases:
            got ^= digest(lease)
        if f"{got:016x}" != want:
            sys.exit(f"{got:016x} is not the digest of {line}")
    print(len(lines))


if __name__ == "__main__":
    main(sys.argv[1])
