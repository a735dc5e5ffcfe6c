"""Files of the platform's process editor: read into topology files, and written from them."""
