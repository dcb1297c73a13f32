"""What the agent may not touch: launching, data, preflight, training set-up, scoring, benchmarks. Never imports sandbox."""
