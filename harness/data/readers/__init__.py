"""One module a file format: each turns an opened file into its documents, in order, with bounded memory."""
