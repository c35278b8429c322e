"""The leaderboard as Markdown and CSV."""
