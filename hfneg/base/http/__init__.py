"""JSON over HTTP, bounded in time, size and reach."""
