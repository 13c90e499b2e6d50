"""From scores to decisions: thresholds, quality verdicts, duplicates."""
