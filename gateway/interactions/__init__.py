"""Questions of the platforms answered from the store: what a query finds, in the form of its answer."""
