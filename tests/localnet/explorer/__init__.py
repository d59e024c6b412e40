"""The explorer's pages, without a browser."""
