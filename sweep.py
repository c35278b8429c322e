"""python sweep.py sweeps/memory.yaml --trials 6 budget=quick. The program is lra_mru/sweep.py; installed: lra-sweep."""

from lra_mru.sweep import main

if __name__ == "__main__":
    main()
