"""`python -m nas_ray.cli`: the command where its script is not on the path."""

import sys

from nas_ray.cli import main

sys.exit(main())
