"""A folder of mixed photos and videos becomes a searchable, explained library."""
