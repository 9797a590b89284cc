"""A file to download: the beginning of Bach's first prelude (BWV 846), synthesised when the sample
application starts. 1.5 MB, so that a player asks for parts of it.
"""

from __future__ import annotations

from array import array
from math import exp, pi, sin
from struct import pack

RATE = 22_050  # samples a second
NOTE_SIZE = 4_410  # samples: a fifth of a second
VOLUME = 9_000  # of 32,767

# Five notes a bar, as semitones above the deep C. Each bar plays 1 2 3 4 5 3 4 5, twice.
BARS = (
    (24, 28, 31, 36, 40),
    (24, 26, 33, 38, 41),
    (23, 26, 31, 38, 41),
    (24, 28, 31, 36, 40),
    (24, 28, 33, 40, 45),
    (24, 26, 30, 33, 38),
    (23, 26, 31, 38, 43),
    (23, 24, 28, 31, 36),
    (21, 24, 28, 31, 36),
    (14, 21, 26, 30, 36),
    (19, 23, 26, 31, 35),
)
ORDER = (0, 1, 2, 3, 4, 2, 3, 4)

# One turn of a string with two overtones; a power of two, so that a mask wraps it.
TURN_SIZE = 1024
ANGLES = [2 * pi * i / TURN_SIZE for i in range(TURN_SIZE)]
TURN = [sin(it) + 0.4 * sin(2 * it) + 0.2 * sin(3 * it) for it in ANGLES]
DECAY = [VOLUME * exp(-3 * i / NOTE_SIZE) * (1 - i / NOTE_SIZE) for i in range(NOTE_SIZE)]


def wave():
    """The bytes of the WAV file: mono, 16 bits."""
    notes = {note: string(note) for note in {note for bar in BARS for note in bar}}
    bars = ([notes[bar[i]] for i in ORDER] * 2 for bar in BARS)
    samples = b"".join(note for bar in bars for note in bar)
    head = pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVEfmt ", 16, 1, 1,
                RATE, 2 * RATE, 2, 16, b"data", len(samples))  # fmt: skip
    return head + samples


def string(note):
    """A plucked string: a fifth of a second of it."""
    step = 65.41 * 2 ** (note / 12) * TURN_SIZE / RATE
    samples = array("h", [
        int(TURN[int(i * step) & TURN_SIZE - 1] * DECAY[i]) for i in range(NOTE_SIZE)
    ])  # fmt: skip
    return samples.tobytes()  # little-endian, as nearly all machines are
