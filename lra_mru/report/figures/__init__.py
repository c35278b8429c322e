"""The leaderboard's figures as PNG."""
