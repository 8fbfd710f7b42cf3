"""JEPAEmbedder: jets in, embeddings and scores out."""
