"""Lightning modules and data modules, one file a task; a task wraps a network and builds none.

- `classification`: images to one of several classes; scikit-learn's digits
"""
