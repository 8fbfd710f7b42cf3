"""One file a format: its schema, tree name, spellings and links."""
