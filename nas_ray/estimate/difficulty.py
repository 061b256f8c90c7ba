"""How far off a subgraph's estimate tends to be: regressed on held-out errors.

Short subgraphs and rare kinds of operators are estimated worse than common ones. The regression is
of log(absolute error); what is made of it (`interval.py`) is calibrated afterwards, so that it need
not be right, only sort subgraphs by how hard they are (Lei et al., 2018, locally weighted
conformal prediction).

Axes: `G` subgraphs.
"""

import numpy as np

from nas_ray.estimate.operator_table import KINDS, Array, OperatorTable

_DEPTHWISE = KINDS.index("depthwise")


def difficulty_features(table: OperatorTable, latency_ms: Array) -> Array:
    """`(G, F)`: what each graph of `table` is made of, and its estimate `latency_ms` `(G,)`."""
    grouped = (table["groups"] > 1) & (table.kind != _DEPTHWISE)
    columns = [
        np.log(np.maximum(latency_ms, 1e-9)),
        *(table.total((table.kind == k) * 1.0) for k in range(len(KINDS))),
        *(np.log1p(table.total(table[name])) for name in ("macs", "weights", "written")),
        table.total(grouped * 1.0),
        table.total(np.where(table["activation"] > 1, 1.0, 0.0)),
        table.has_before,
        table.has_after,
    ]
    return np.column_stack(columns).astype(np.float64)
