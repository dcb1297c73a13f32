"""Benchmarks of the harness, each run as `python -m harness.bench.NAME`; they print ratios and never fail on speed."""
