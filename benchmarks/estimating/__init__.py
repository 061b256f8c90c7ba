"""Parts of `benchmarks/estimator.py`: test graphs, the compiler's answers, fits, figures, times."""
