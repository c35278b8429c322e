"""What a run is named after, and what its record must say: shared by the engine that writes and the report that reads."""
