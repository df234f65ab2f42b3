"""Known answers of encryption at rest, computed from docs/format.md alone.

It shares no code with the engine: HKDF and AES-GCM are those of the package `cryptography`, which is all
that it needs. Its output is `known_answers.txt` beside it, which the format test compares with what the
engine makes of the same inputs:

    python3 tests/format/known_answers.py > tests/format/known_answers.txt
"""

import hashlib
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PLAIN_PAGE_BODY_BYTES = 16_320
KINDS = {"log": 2, "segment": 3, "key": 8}
AES_256_GCM = 1

KEY = bytes(range(0x00, 0x20))
STORE = bytes(range(0x10, 0x20))
SALT = bytes(range(0x20, 0x30))
KEY_ID = bytes(range(0x30, 0x40))
SEALED_KEY = bytes(range(0x40, 0x60))
COLLECTION = 7
PAGE_INDEX = 3
PAYLOAD = b"known answer"

# The store whose frame is computed draws no other byte than this one.
DRAWN = bytes([0x5A] * 16)


def crc32c(*parts):
    crc = 0xFFFFFFFF
    for byte in b"".join(parts):
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc_table():
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


CRC_TABLE = crc_table()


def derive(key, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def file_key(key, store, salt, kind, collection):
    info = b"quiver-store file 1" + store + bytes([KINDS[kind]]) + struct.pack("<Q", collection)
    return derive(key, salt, info)


def catalog_key(store_key, store):
    return derive(store_key, store, b"quiver-store catalog 1")


def seal(key, position, body, associated):
    """What is sealed, and the tag."""
    nonce = bytes(4) + struct.pack("<Q", position)
    sealed = AESGCM(key).encrypt(nonce, body, associated)
    return sealed[:-16], sealed[-16:]


def page():
    def header(checksum):
        return struct.pack(
            "<4sHBBIII4x8s16s",
            b"QVPG", 1, 2, AES_256_GCM, PAGE_INDEX, len(PAYLOAD), checksum, STORE[:8], SALT,
        )

    body = PAYLOAD + bytes(PLAIN_PAGE_BODY_BYTES - len(PAYLOAD))
    key = file_key(KEY, STORE, SALT, "segment", COLLECTION)
    sealed, tag = seal(key, PAGE_INDEX, body, header(0))
    checksum = crc32c(header(0), tag, sealed)
    return header(checksum) + tag + sealed


def key_file():
    header = struct.pack("<4sHBx16s16sQ", b"QVKY", 1, AES_256_GCM, STORE, KEY_ID, COLLECTION)
    key = file_key(KEY, STORE, KEY_ID, "key", COLLECTION)
    sealed, tag = seal(key, 0, SEALED_KEY, header)
    covered = header + tag + sealed
    return covered + struct.pack("<I", crc32c(covered))


def frame():
    """The first frame of a log: it creates collection 1 of one key for everything."""
    store, salt, offset = DRAWN, DRAWN, 512
    name = b"answers"
    descriptor = struct.pack("<BIIBIBBIB", 1, 4, 2, 2, 1, 1, 3, 1, 1)
    records = struct.pack("<BBI", 1, len(name), len(descriptor)) + name + descriptor
    section_at = offset + 56
    section_header = struct.pack("<QIIBB6x16x", 1, len(records), 1, AES_256_GCM, 0)
    key = file_key(KEY, store, salt, "log", 1)
    sealed, section_tag = seal(key, section_at, records, section_header)
    section = section_header + section_tag + sealed
    length = struct.pack("<I", 56 + len(section))
    fields = struct.pack("<QQIBB2xI", 1, 0, 1, 1, 1, 1)
    key = file_key(KEY, store, salt, "log", 0)
    bound = length + fields + section_header + section_tag
    _, tag = seal(key, offset, b"", bound)
    place = salt + struct.pack("<Q", offset) + length
    own = struct.pack("<I", crc32c(place, fields))
    behind = fields + own + tag + section
    return length + struct.pack("<I", crc32c(place, behind)) + behind


def main():
    sealed_page = page()
    answers = {
        "file key": file_key(KEY, STORE, SALT, "segment", COLLECTION),
        "catalog key": catalog_key(KEY, STORE),
        "page header": sealed_page[:64],
        "page SHA-256": hashlib.sha256(sealed_page).digest(),
        "key file": key_file(),
        "frame": frame(),
    }
    for name, answer in answers.items():
        print(f"{name} = {answer.hex()}")


if __name__ == "__main__":
    assert crc32c(b"123456789") == 0xE3069283, "the check value of CRC32C"
    main()
