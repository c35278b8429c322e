"""What a run is named after, and what its record must say: for the engine that writes and the report that reads."""
