"""How profiles are read: descriptions of queries become MongoDB's documents."""
