"""Scripts of Foundry projects: run on a fork of a node's network, tried with real actors, and sent."""
