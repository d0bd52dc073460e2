"""What Dagster loads (workspace.yaml): the study that the environment names.

Nothing else imports this module: whoever has a study already gathers that one's definitions.
"""

from __future__ import annotations

from finembed_dagster.gathered import build_definitions
from finembed_dagster.study import Study

defs = build_definitions(Study.find())
