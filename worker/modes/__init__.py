"""What differs between standalone and platform mode: one factory for each."""
