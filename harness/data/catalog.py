"""What `linbench data list` shows: the known data sets, the user's own, and which of them are prepared."""

from dataclasses import dataclass
from pathlib import Path

from harness.data.entries import ENTRIES, Entry, entry_for, own_entry
from harness.data.manifest import Manifest, read_manifest
from harness.data.root import data_root


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One data set, prepared or not."""

    entry: Entry
    """Its name, kind, what it is, the files it wants and where from."""
    folder: Path
    manifest: Manifest | None
    """None where it is not prepared."""

    @property
    def name(self) -> str:
        """What every command calls it."""
        return self.entry.name

    @property
    def prepared(self) -> bool:
        """Whether it can be used now."""
        return self.manifest is not None or self.entry.kind in ("built-in", "generated")

    @property
    def tokens(self) -> int | None:
        """Tokens in all splits; None where it is not prepared, 0 for text."""
        return None if self.manifest is None else sum(split.tokens for split in self.manifest.splits.values())


def catalog() -> list[CatalogRow]:
    """The known data sets in a fixed order, then the user's own by name. Raises DataError for a damaged manifest."""
    root = data_root()
    found = {path.parent.name for path in root.glob("*/manifest.json") if not path.parent.name.startswith(".")}
    own = [own_entry(name) for name in sorted(found) if entry_for(name) is None]
    return [CatalogRow(entry, root / entry.name, read_manifest(root / entry.name)) for entry in [*ENTRIES, *own]]
