"""What benchmarks/zero_shot.py is made of: benchmarks of trained networks, kept scores, figures."""
