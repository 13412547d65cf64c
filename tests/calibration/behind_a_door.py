"""Programs for a virtual chip in a process of its own: ``python behind_a_door.py SEED``.

Reads pickled pairs of a program and a trial seed from standard input, and answers each with the recording. Who
talks to it has no way to the die.
"""

import pickle
import sys

from hxtorch.twin import Die, VirtualChip


def main() -> None:
    chip = VirtualChip(Die.from_seed(int(sys.argv[1])))
    while True:
        try:
            program, trial_seed = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(chip.run(program, trial_seed), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
