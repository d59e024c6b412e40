"""Draft network versions: a TOML file with the changes of a proposal, its actor builds and its migration.

The rules of a version belong to the machine. Read `reading` and `opening`.
"""

from hypervisor_tools.laboratory.drafts.opening import allow_draft, draft_options, with_migration
from hypervisor_tools.laboratory.drafts.reading import DraftVersion, named_draft, new_draft, read_draft

__all__ = ["DraftVersion", "allow_draft", "draft_options", "named_draft", "new_draft", "read_draft", "with_migration"]
