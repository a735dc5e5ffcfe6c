"""The life of a message: `handler` has it on one page, `stages` in one list."""
