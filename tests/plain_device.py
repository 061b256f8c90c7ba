"""The least that a device.toml holds, but for [measure], with 8 channels at a time."""

PLAIN = """
name = "plain"
description = "made up for the tests"
numbers = "measurements"
parallelism_factor = 8
macs_per_cycle = 512
clock_hz = 1e9
additivity = 0.05

[number_format]
weight_bytes = 1
activation_bytes = 1
bias_bytes = 4

[memories.sram]
bandwidth_bytes_per_s = 24e9
size_bytes = 0

[measure]
"""
