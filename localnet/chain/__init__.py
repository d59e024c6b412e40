"""A chain of tipsets: how blocks are made, executed, kept and found again."""
