"""Generated bindings of the built-in actors (`actors`) and of users' contracts (`contracts`)."""
