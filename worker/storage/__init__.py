"""Where the data storage of actions is kept."""

from worker.storage.opening import check_storage_url, open_storage

__all__ = ["check_storage_url", "open_storage"]
