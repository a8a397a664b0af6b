"""The contract that both halves share: names, models, evidence, conditions, durations, errors."""
