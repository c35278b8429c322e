"""python train.py model=bmru task=listops budget=quick seed=0. The program is lra_mru/train.py, installed lra-train."""

from lra_mru.train import main

if __name__ == "__main__":
    main()
