"""TestU01's SmallCrush or Crush of the words on standard input, as JSON on the last line.

python -m tests.battery.testu01 LIBRARY SmallCrush|Crush [TEST ...]

The words are big-endian.  TESTs are Crush's numbers, all by default.
"""

from __future__ import annotations

import ctypes
import json
import sys

TABLE = 201  # entries of the arrays that say how often each test is run
BUFFER = 1 << 16  # words


def main(path: str, battery: str, *tests: str) -> None:
    library = ctypes.CDLL(path)
    ctypes.c_int.in_dll(library, "swrite_Basic").value = 0
    library.ufile_CreateReadBin.restype = ctypes.c_void_p
    generator = ctypes.c_void_p(library.ufile_CreateReadBin(b"/dev/stdin", ctypes.c_long(BUFFER)))
    repeats = (ctypes.c_int * TABLE)()
    for number in tests:
        repeats[int(number)] = 1
    if tests:
        getattr(library, f"bbattery_Repeat{battery}")(generator, repeats)
    else:
        getattr(library, f"bbattery_{battery}")(generator)
    ctypes.CDLL(None).fflush(None)
    count = ctypes.c_int.in_dll(library, "bbattery_NTests").value
    p_values = (ctypes.c_double * count).in_dll(library, "bbattery_pVal")
    names = (ctypes.c_char_p * count).in_dll(library, "bbattery_TestNames")
    found = [
        [name.decode(), p] for name, p in zip(names, p_values, strict=True) if name and 0 <= p <= 1
    ]
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
