"""One reader per kind of file, all of one interface: `base.JetFile`."""
