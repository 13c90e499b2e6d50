"""Print the page that describes the demo collection: what docs/demo-collection.md holds."""

import sys

from media_pipeline.demo.collection import expected_outcomes
from media_pipeline.demo.expected import expected_page

if __name__ == "__main__":
    sys.stdout.write(expected_page(expected_outcomes(is_root=False).values()))
