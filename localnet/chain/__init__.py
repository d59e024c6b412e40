"""A chain of tipsets: how messages are taken, blocks made and executed, states kept, upgrades planned."""
