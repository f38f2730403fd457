"""Cross-encoders at work: batches of few fixed shapes, and what makes them faster."""
