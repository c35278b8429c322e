"""`python -m lra_mru.evidence`: the runs that the leaderboard is made of, one after another, until none is missing."""
