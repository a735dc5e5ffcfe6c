"""One message: what it looks like on the wire, who it is, where it comes from and where it goes."""
