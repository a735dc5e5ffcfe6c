"""Which action a node calls, in this process or over HTTP, and what its errors mean."""
