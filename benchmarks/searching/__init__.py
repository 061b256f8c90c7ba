"""Searches on benchmarks of trained networks: a question is answered by looking it up."""
