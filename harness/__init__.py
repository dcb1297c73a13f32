"""What the agent may not touch: launching, data, preflight, scoring, benchmarks. Never imports sandbox."""
