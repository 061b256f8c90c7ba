"""Model files that a tool can be given, and what their number format says about memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas_ray.graph import Graph
from nas_ray.measure.measurement import Measurement
from nas_ray.measure.onnx_file import to_onnx
from nas_ray.measure.tflite import to_tflite


@dataclass(frozen=True, kw_only=True)
class ModelFormat:
    """A way to write a graph with weights of a seed; the three sizes are bytes of one number."""

    write: Callable[[Graph, int], bytes]
    weight_bytes: int
    bias_bytes: int
    activation_bytes: int

    def timed(self, graph: Graph, latency_ms: float) -> Measurement:
        """The measurement of a tool that says time alone.

        Memory is computed from the shapes, not measured: the most activations alive at once, and
        weights without any compression.
        """
        weights = graph.weight_elements * self.weight_bytes
        return Measurement(
            latency_ms=latency_ms,
            peak_memory_bytes=graph.peak_elements * self.activation_bytes,
            weight_bytes=weights + graph.bias_elements * self.bias_bytes,
            macs=graph.macs,
        )


def _int8(graph: Graph, seed: int) -> bytes:
    return to_tflite(graph, seed).content


#: What `format` in the section [measure] of device.toml may say; also the ending of the file.
FORMATS: Mapping[str, ModelFormat] = {
    "onnx": ModelFormat(write=to_onnx, weight_bytes=4, bias_bytes=4, activation_bytes=4),
    "tflite": ModelFormat(write=_int8, weight_bytes=1, bias_bytes=4, activation_bytes=1),
}
