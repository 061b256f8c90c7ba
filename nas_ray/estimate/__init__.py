"""Turn a graph into numbers: latency by regression, memory by liveness, bounds by calibration."""
