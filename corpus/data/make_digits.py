#!/usr/bin/env python3
"""Writes digits.jsonl beside this script: the handwritten digits that scikit-learn ships.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python corpus/data/make_digits.py

Each of the 1,797 lines is one picture of 8 x 8 pixels, in the order of the source:

    {"id":"digit-0000","vector":[64 whole numbers, 0 to 16],"digit":0,"ink":294,"split":"test"}

`digit` is what the writer meant, `ink` the sum of all pixels, and `split` is ours: every fifth
picture, from the first on, is "test", the others are "train". Running it again writes the same bytes.
"""

import json
import pathlib

from sklearn.datasets import load_digits

ROWS, PIXELS, BRIGHTEST = 1797, 64, 16


def main():
    pictures, digits = load_digits(return_X_y=True)
    if pictures.shape != (ROWS, PIXELS):
        raise SystemExit(f"make_digits: pictures of shape {pictures.shape}, expected {(ROWS, PIXELS)}")
    lines = []
    for row, (picture, digit) in enumerate(zip(pictures, digits)):
        vector = [int(pixel) for pixel in picture]
        if vector != list(picture) or not all(0 <= pixel <= BRIGHTEST for pixel in vector):
            raise SystemExit(f"make_digits: row {row} has pixels other than 0 to {BRIGHTEST}")
        line = {
            "id": f"digit-{row:04}",
            "vector": vector,
            "digit": int(digit),
            "ink": sum(vector),
            "split": "test" if row % 5 == 0 else "train",
        }
        lines.append(json.dumps(line, separators=(",", ":")) + "\n")
    path = pathlib.Path(__file__).with_name("digits.jsonl")
    path.write_text("".join(lines), encoding="ascii", newline="\n")
    print(f"{path}: {len(lines)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
