"""Ask a tool what a subgraph costs, and keep its answers: one file a back-end, and the table."""
