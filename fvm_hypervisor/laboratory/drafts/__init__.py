"""Draft network versions: a TOML file with the changes of a proposal, its actor builds and its migration."""

from fvm_hypervisor.laboratory.drafts.migrating import allow_draft, with_migration
from fvm_hypervisor.laboratory.drafts.opening import draft_options
from fvm_hypervisor.laboratory.drafts.reading import DraftVersion, named_draft, read_draft
from fvm_hypervisor.laboratory.drafts.template import new_draft

__all__ = ["DraftVersion", "allow_draft", "draft_options", "named_draft", "new_draft", "read_draft", "with_migration"]
