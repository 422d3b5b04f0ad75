"""Audio: sources, level, chunks, encoders. The capture thread is here; the rest runs on it, or decides."""
